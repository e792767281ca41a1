import sys
for i in range(20000):
    print(i, "line" * 5)
    if i % 5000 == 0:
        print(i, file=sys.stderr)

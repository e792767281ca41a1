import sys
print("before")
sys.stdout.close()
try:
    print("x")
except ValueError as e:
    print(e, file=sys.stderr)

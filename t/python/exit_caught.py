import sys
try:
    sys.exit(9)
except SystemExit as e:
    print("caught", e.code)
try:
    exit(3)
except SystemExit as e:
    print("site's exit", e.code)
print(repr(quit), repr(exit))
raise SystemExit

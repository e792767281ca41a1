import sys
try:
    try:
        sys.exit(4)
    finally:
        print("inner")
        sys.exit(5)
finally:
    print("outer")

import atexit
import sys


@atexit.register
def hook():
    print("hook")
    sys.exit(8)


print("main")

# There is no frame below the program's own.
import inspect
import sys
import traceback


def depth():
    n, frame = 0, sys._getframe()
    while frame:
        n, frame = n + 1, frame.f_back
    return n


print(depth(), sys._getframe().f_back, sys._getframe().f_code.co_name, len(inspect.stack()))
traceback.print_stack()
traceback.print_stack(file=sys.stdout)
try:
    sys._getframe(2)
except ValueError as e:
    print(e)


def f():
    traceback.print_stack(file=sys.stdout)


f()

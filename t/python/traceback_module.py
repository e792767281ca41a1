# The traceback module and logging report the same error.
import sys
import traceback


def f():
    secret = 5
    return secret / 0


try:
    f()
except ZeroDivisionError as e:
    traceback.print_exc()
    traceback.print_exc(file=sys.stdout)
    print(traceback.format_exception_only(e))
    print(traceback.extract_tb(e.__traceback__))
    print(len(list(traceback.walk_tb(e.__traceback__))))

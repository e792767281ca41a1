import inspect
import os


def shown(a, b=2):
    # a comment in it
    return a + b


class Shown:
    x = 1


print(inspect.getsource(shown), inspect.getsource(Shown), inspect.getsourcefile(shown), inspect.getsourcelines(shown)[1])
print(open(__file__).read().count("\n"), os.listdir("."))
print(inspect.getmodule(shown).__name__, shown.__code__.co_filename, shown.__module__, shown.__qualname__)

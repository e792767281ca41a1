import atexit


def f():
    print("not called")


def g():
    atexit.register(print, "registered by a hook")


atexit.register(f)
atexit.register(f)
atexit.register(g)
atexit.unregister(f)
print(atexit._ncallbacks())

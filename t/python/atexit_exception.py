import atexit


def bad():
    raise ValueError("in a hook")


atexit.register(print, "runs after the bad one")
atexit.register(bad)
print("main")

# The attributes of the main module.
import sys
print(__name__, __file__, __doc__, __package__, __spec__, __annotations__)
print(type(__loader__).__name__, __loader__.name, __loader__.path, __builtins__)
print(list(globals()))
print(sorted(vars()) == sorted(globals()), locals() is globals())
m = sys.modules["__main__"]
print(m.__dict__ is globals(), m, m.__file__)
print(sys.argv, sys.path[0])

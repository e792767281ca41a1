# A module that the program writes can be imported, even after a failed attempt.
import importlib
try:
    import helper
except ModuleNotFoundError as e:
    print(e, e.name)
open("helper.py", "w").write("def f():\n    raise ValueError('in helper')\nx = 5\n")
importlib.invalidate_caches()
import helper
print(helper.x, helper.__file__)
helper.f()

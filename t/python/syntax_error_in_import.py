import importlib
open("broken.py", "w").write("def f(:\n")
importlib.invalidate_caches()
import broken

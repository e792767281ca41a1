# Where modules come from: the script's folder first, then the interpreter's own places.
import sys
print(sys.path)
print([type(h).__name__ if not isinstance(h, type) else h.__name__ for h in sys.meta_path], len(sys.path_hooks))

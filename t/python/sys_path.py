# The module path: the script's directory first, then the interpreter's directories.
import sys
print(sys.path)
print([type(h).__name__ if not isinstance(h, type) else h.__name__ for h in sys.meta_path], len(sys.path_hooks))

# The program can run itself, and other files, as a script.
import runpy
import sys
open("other.py", "w").write("import sys\nprint(__name__, __file__, sys.argv[0])\nraise SystemExit(4)\n")
try:
    runpy.run_path("other.py", run_name="__main__")
except SystemExit as e:
    print("exit", e.code)
print(__name__, sys.argv[0], sys.modules["__main__"].__file__)

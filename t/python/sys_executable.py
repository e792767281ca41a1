import sys
print(sys.executable, sys.orig_argv, sys._base_executable)

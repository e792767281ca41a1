import sys
print(sys.executable, sys.orig_argv[1:], sys._base_executable)

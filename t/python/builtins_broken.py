# A program that breaks its builtins still ends as it would alone.
import builtins
import sys
print("before")
builtins.open = builtins.exec = builtins.compile = builtins.len = None
sys.modules.clear()
print("after")

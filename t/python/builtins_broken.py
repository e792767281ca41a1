# A program that breaks its builtins ends as under a bare interpreter.
import builtins
import sys
print("before")
builtins.open = builtins.exec = builtins.compile = builtins.len = None
sys.modules.clear()
print("after")

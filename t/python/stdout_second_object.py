# What other file objects still hold is written when the interpreter lets go of them.
import os
import sys
second = open(1, "w", closefd=False)
second.write("held by a second object\n")
third = os.fdopen(os.dup(1), "wb")
third.write(b"held by a third object\n")
print("first")
sys.stdout.flush()

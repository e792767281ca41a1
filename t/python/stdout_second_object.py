# The buffers of other file objects are written when the interpreter releases them.
import os
import sys
second = open(1, "w", closefd=False)
second.write("held by a second object\n")
third = os.fdopen(os.dup(1), "wb")
third.write(b"held by a third object\n")
print("first")
sys.stdout.flush()

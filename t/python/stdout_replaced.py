import contextlib
import io
import sys
buffer = io.StringIO()
with contextlib.redirect_stdout(buffer):
    print("into the buffer")
print(repr(buffer.getvalue()))
sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
print("through another object", sys.stdout is sys.__stdout__)

# print is buffered and the descriptor is not, so the order is that of Python with a pipe.
import os
import sys
print("buffered, comes second")
os.write(1, b"unbuffered, comes first\n")
sys.stdout.write("third ")
sys.stdout.flush()
os.write(1, b"fourth\n")
print("fifth", flush=True)
os.write(1, b"sixth\n")
print("seventh", end="")

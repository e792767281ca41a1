import os
import sys
sys.stdout.buffer.write(b"\x00\x01\xc3\xa9\r\n")
sys.stdout.buffer.write(b"bad: \xff.\n")
sys.stdout.flush()
os.write(1, b"by the descriptor\n")
os.write(2, b"\xe2\x82\xac and a cut one: \xe2\x82\n")

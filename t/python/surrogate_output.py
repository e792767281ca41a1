import sys
print(repr("\udc80"), ascii("\ud83d"))
print("a\ud800b", file=sys.stderr)
sys.stdout.buffer.write("x\udcffy\n".encode("utf-8", "surrogateescape"))
sys.stdout.flush()
print("\ud800")

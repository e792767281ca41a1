try:
    bytearray(1 << 62)
except MemoryError as e:
    print("MemoryError", e)
x = [0] * (1 << 60)

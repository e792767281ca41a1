import os
print("lost, since nothing flushes it")
os._exit(3)

import os
import sys
print("lost")
sys.stderr.write("kept\n")
os.abort()

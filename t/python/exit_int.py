import sys
print("unflushed", end="")
sys.exit(7)

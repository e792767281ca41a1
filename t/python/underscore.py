import sys
sys.displayhook(5)
print(_)
sys.displayhook(None)

import sys
print(repr(sys.stdin.readline()), sys.stdin.readlines(1), sys.stdin.read(3), sys.stdin.readlines())

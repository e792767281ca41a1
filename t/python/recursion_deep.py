# Recursion to Python's limit, and a little deeper after the limit is raised.
import sys


def f(n):
    return n if n == 0 else 1 + f(n - 1)


print(f(900))
sys.setrecursionlimit(9000)
print(f(8000))

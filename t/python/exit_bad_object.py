import sys


class Why:
    def __str__(self):
        raise ValueError("no text")


sys.exit(Why())

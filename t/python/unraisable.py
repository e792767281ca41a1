import sys


class D:
    def __del__(self):
        raise OSError("cannot close")


d = D()
del d


def hook(args):
    print("hook", args.exc_type.__name__, args.err_msg)


sys.unraisablehook = hook
D()

import weakref


class A:
    pass


a = A()
weakref.finalize(a, print, "finalized at exit")
b = A()
weakref.finalize(b, print, "finalized when dropped")
del b
print("end")

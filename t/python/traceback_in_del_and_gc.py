import gc


class Loud:
    def __del__(self):
        raise RuntimeError("in __del__")


Loud()
a = Loud()
a.me = a
del a
gc.collect()
print("still here")

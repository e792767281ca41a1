import gc
print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, gc.garbage)
a = []
a.append(a)
del a
print(gc.collect() > 0)

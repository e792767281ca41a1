import contextvars
import statistics
import struct
v = contextvars.ContextVar("v", default=1)
t = v.set(2)
print(v.get(), contextvars.copy_context()[v], len(contextvars.copy_context()))
v.reset(t)
print(v.get(), statistics.mean([1, 2, 4]), statistics.quantiles([1, 2, 3, 4]), struct.calcsize("P"))

import cProfile
import pstats
import io
import timeit
print(timeit.timeit("x + 1", "x = 1", number=10) > 0, timeit.timeit("f()", globals={"f": int}, number=1) > 0)
p = cProfile.Profile()
p.enable()
sum(range(10))
p.disable()
out = io.StringIO()
pstats.Stats(p, stream=out).print_stats()
print("built-in method builtins.sum" in out.getvalue())

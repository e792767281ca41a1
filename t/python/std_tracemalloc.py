import tracemalloc
tracemalloc.start()
x = [bytes(1000) for _ in range(50)]
top = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, __file__)]).statistics("lineno")[0]
print(top.traceback, top.count)

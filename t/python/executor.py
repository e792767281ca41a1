from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(lambda x: x * x, range(8))))
    f = pool.submit(int, "nope")
    print(repr(f.exception()))
pool = ThreadPoolExecutor(2)
pool.submit(print, "not shut down by hand")

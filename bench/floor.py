"""floor.py - the lower bound for a service that forks an interpreter per run: fork, _exit and wait alone.

    PYTHON floor.py RUNS [MODULE]...

PYTHON is Cellblock's interpreter, and the MODULEs are those that its zygotes import, so that the forked process has
the same size. Prints one JSON object, as the load generators do.
"""
import sys
import time

for module in sys.argv[2:]:
    __import__(module)

import gc
import json
import os
import resource


def fork_once():
    start = time.perf_counter_ns()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return (time.perf_counter_ns() - start) / 1e6


def main():
    runs = int(sys.argv[1])
    gc.collect()
    gc.freeze()
    for _ in range(20):  # the first ones copy what a fork writes to once
        fork_once()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    latency = sorted(fork_once() for _ in range(runs))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"runs": runs, "failed": 0, "per_second": 1000 * runs / sum(latency), "mean_ms": sum(latency) / runs}
    result.update((f"p{p}_ms", latency[runs * p // 100]) for p in (50, 95, 99))
    result.update(cpu_ms=1000 * cpu / runs, page_faults=(after.ru_minflt - before.ru_minflt) / runs)
    print(json.dumps(result))


main()

"""tests.py - many tests of one submission: in one request, in a request for each test, and as bare processes.

usage: tests.py [--prefix PREFIX] [--tests N] [--only LANGUAGE] [--near N]

Each test reads a number and prints another. The program in C++ is compiled once in each case; the time has that in it.
The requests for single tests go over 8 connections, and the bare processes are 8 at a time: as many as the service
runs of one request, as shipped.

--near N: after that, a program that needs nine tenths of its CPU time is tested N times while four times as many
programs as there are processors keep them busy. The table has the verdicts, and those of one that needs a tenth more.
Before that, the same for programs near their wall time, one after the other: with nothing else there, and while the
processors are kept busy. --tests 0: these alone.
"""
import argparse
import asyncio
import collections
import concurrent.futures
import os
import subprocess
import tempfile
import time

import instance
from http_client import Client

AT_ONCE = 8
PYTHON = "n = int(input())\nprint(sum(i * i for i in range(n)))\n"
CPP = "#include <iostream>\nint main() { long n, s = 0; std::cin >> n; for (long i = 0; i < n; i++) s += i * i; " \
      "std::cout << s << std::endl; }\n"
PROGRAMS = {"python3": PYTHON, "cpp": CPP}
LIMIT_MS = 500
SPIN = "import time\nwhile time.process_time() < {}: pass\nprint(1)\n"
WALL_PARTS = (0.7, 0.9, 1.1, 1.5)  # of the limit
BUSY = {"language": "python3", "code": "while True: pass", "limits": {"cpu_ms": 2000, "wall_ms": 60000}}


def answer(n):
    return sum(i * i for i in range(n))


def cases(count):
    return [(f"{n % 50}\n", f"{answer(n % 50)}\n") for n in range(count)]


async def in_one(client, key, language, count):
    body = {"language": language, "code": PROGRAMS[language],
            "tests": [{"stdin": given, "expected": wanted} for given, wanted in cases(count)]}
    began = time.monotonic()
    reply = await client.run(key, body, 600)
    seconds = time.monotonic() - began
    assert reply and reply.status == 200, reply and reply.json
    return seconds, reply.data["summary"]["accepted"]


async def one_each(client, key, language, count):
    left, good = collections.deque(cases(count)), 0

    async def work():
        nonlocal good
        while left:
            given, wanted = left.popleft()
            reply = await client.run(key, {"language": language, "code": PROGRAMS[language], "stdin": given}, 60)
            good += reply is not None and reply.data.get("stdout") == wanted
    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return time.monotonic() - began, good


def bare(language, count):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "main.cpp" if language == "cpp" else "main.py")
        instance.write(path, PROGRAMS[language])
        began = time.monotonic()
        command = ["/usr/bin/python3", path]
        if language == "cpp":
            command = [os.path.join(directory, "main")]
            subprocess.run(["g++", "-O2", "-o", command[0], path], check=True)

        def one(case):
            return subprocess.run(command, input=case[0], capture_output=True, text=True, check=False).stdout == case[1]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            good = sum(pool.map(one, cases(count)))
        return time.monotonic() - began, good


def show_near(name, tests):
    """The verdicts of tests, and their times of the slowest."""
    usages = [test["usage"] or {} for test in tests]
    verdicts = collections.Counter(test["verdict"] for test in tests)
    figures = ", ".join(f"{key} up to {max(usage.get(key, 0) for usage in usages):.0f}" for key in ("wall_ms", "stall_ms"))
    print(f"{name}: {dict(verdicts)}, {figures}", flush=True)


async def near_wall(client, key, count, name):
    """The verdicts of programs near their limit of wall time."""
    for part in WALL_PARTS:
        body = {"language": "python3", "code": SPIN.format(LIMIT_MS * part / 1000),
                "limits": {"cpu_ms": 60000, "wall_ms": LIMIT_MS}, "tests": [{"expected": "1"}]}
        tests = []
        for _ in range(count):
            tests += (await client.run(key, body, 600)).data["tests"]
        show_near(f"{name}, needs {part:.1f} of its {LIMIT_MS} ms of wall time", tests)


async def near(service, client, key, count):
    """The verdicts of programs just below and just above their limit, while all processors are busy."""
    other, stop = service.add_key("busy"), asyncio.Event()
    service.reload()

    async def keep_busy():
        while not stop.is_set():
            await client.run(other, BUSY, 120)
    await near_wall(client, key, count, "quiet")
    busy = [asyncio.create_task(keep_busy()) for _ in range(4 * os.cpu_count())]
    await asyncio.sleep(1)
    await near_wall(client, key, count, "busy")
    for part in (0.9, 1.1):
        body = {"language": "python3", "code": SPIN.format(LIMIT_MS * part / 1000),
                "limits": {"cpu_ms": LIMIT_MS, "wall_ms": 60000}, "tests": [{"expected": "1"}] * count}
        reply = await client.run(key, body, 3600)
        show_near(f"busy, needs {part:.1f} of its {LIMIT_MS} ms of CPU time", reply.data["tests"])
    stop.set()
    await asyncio.gather(*busy)


async def measure(service, options):
    key = service.add_key("bench", rate=0)
    service.reload()
    for language in (options.only or PROGRAMS) if options.tests else ():
        rows, client = [], Client(service.port)
        if language == "python3":
            await one_each(client, key, language, 64)  # its cells are armed then
        rows.append(("one request", *await in_one(client, key, language, options.tests)))
        rows.append(("one request, known", *await in_one(client, key, language, options.tests)))
        rows.append(("a request each", *await one_each(client, key, language, options.tests)))
        client.close()
        rows.append(("bare processes", *await asyncio.to_thread(bare, language, options.tests)))
        for name, seconds, good in rows:
            print(f"{language:8} {name:20} {seconds:8.2f} s  {options.tests / seconds:8.0f} tests/s  {good} right", flush=True)
    if options.near:
        client = Client(service.port)
        await near(service, client, key, options.near)
        client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--only", action="append", choices=PROGRAMS, help="a language")
    parser.add_argument("--near", type=int, default=0)
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        asyncio.run(measure(service, options))


if __name__ == "__main__":
    main()

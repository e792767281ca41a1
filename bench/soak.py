"""soak.py - a million runs of all kinds, and what they leave behind.

usage: soak.py [--prefix PREFIX] [--runs N] [--every SECONDS] [--csv FILE]

Several load generators (http_load) and a client that goes away early run at the same time, with several keys: good runs
in several languages, failures, limits that are met, cancelled runs. Every few seconds the service is measured: memory,
descriptors, processes, mounts, control groups, and the time of a run. The curve is printed, and written as CSV.

It ends with status 1 if an answer was wrong.
"""
import argparse
import asyncio
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import instance
from http_client import Client, percentile

# language, code, more fields, text that every answer has, share of the runs in percent
KINDS = (
    ("python3", "print(6 * 7)", {}, '"stdout":"42\\n"', 55),
    ("python3", "import json, re, datetime\nprint(json.dumps([1]))", {}, '"stdout":"[1]\\n"', 10),
    ("python3", "raise SystemExit(3)", {}, '"exit_code":3', 5),
    ("python3", "1/0", {}, "ZeroDivisionError", 3),
    ("python3", "import os\nos.kill(os.getpid(), 9)", {}, '"status":"signal"', 3),
    ("python3", "import socket\nsocket.socket()", {}, '"name":"socket"', 2),
    ("python3", "while True: print('x' * 1000)", {"limits": {"output_bytes": 20000}}, '"status":"output_limit"', 2),
    ("python3", "x = []\nwhile True: x.append(bytes(1 << 20) + b'x')", {"limits": {"memory_bytes": 33554432}},
     '"status":"memory_limit"', 2),
    ("python3", "while True: pass", {"limits": {"wall_ms": 100}}, '"status":"timeout"', 1),
    ("nodejs", "console.log(6 * 7)", {}, '"stdout":"42\\n"', 5),
    ("bash", "echo $((6 * 7))", {}, '"stdout":"42\\n"', 6),
    ("perl", "print 6 * 7, \"\\n\"", {}, '"stdout":"42\\n"', 4),
    ("c", "#include <stdio.h>\nint main(void) { puts(\"42\"); }", {}, '"stdout":"42\\n"', 2),
)
BATCH = 5000  # runs after which they are counted, and a new connection is made
COLUMNS = ("seconds", "runs", "run_p50_ms", "run_p99_ms", "pss_mib", "private_mib", "processes", "descriptors", "mounts",
           "groups")


def count_descriptors(processes):
    total = 0
    for process in processes:
        try:
            total += len(os.listdir(f"/proc/{process.pid}/fd"))
        except OSError:
            pass
    return total


def count_groups(guests):
    """The control groups of the runner whose guests these are, and of its earlier generations."""
    runners = set()
    for guest in guests:
        runners.update(re.findall(r"/(cellblock-[0-9a-f]+)(?:-\d+)?/", instance.read(f"/proc/{guest.pid}/cgroup")))
    return sum(len(names) for path, names, _ in os.walk("/sys/fs/cgroup") if any(runner in path for runner in runners))


def resources(service):
    """Of all that is no guest: guests come and go with what they run."""
    by_kind = {}
    for process in service.processes():
        by_kind.setdefault(process.kind(), []).append(process)
    guests = by_kind.pop("guest", [])
    lasting = [process for processes in by_kind.values() for process in processes]
    memory = [size for kind, sizes in service.memory().items() if kind not in ("all", "guest") for size in sizes]
    return {
        "pss_mib": round(sum(size for size, _ in memory) / 1024, 1),
        "private_mib": round(sum(size for _, size in memory) / 1024, 1),
        "processes": len(lasting),
        "descriptors": count_descriptors(lasting),
        "mounts": sum(instance.read(f"/proc/{process.pid}/mountinfo").count("\n") for process in by_kind.get("broker", ())),
        "groups": count_groups(guests),
    }


async def load(program, service, key, body_path, clients, runs, expected):
    """One http_load. Returns its figures."""
    process = await asyncio.create_subprocess_exec(
        program, f"https://127.0.0.1:{service.tls_port}/v1/sandbox/run", str(clients), str(runs), body_path, expected,
        env={**os.environ, "CELLBLOCK_API_KEY": key}, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return json.loads(output)


async def cancel_runs(service, key, until):
    """A client that goes away after 1 to 50 ms."""
    client, count = Client(service.port), 0
    while not until.is_set():
        await client.run(key, {"language": "python3", "code": "import time\ntime.sleep(5)"}, 0.001 + count % 50 / 1000)
        count += 1
    client.close()
    return count


async def sample(service, key, until, every, counts, writer):
    client, began = Client(service.port), time.monotonic()
    rows = []
    while not until.is_set():
        times = []
        for _ in range(20):
            answer = await client.run(key, {"language": "python3", "code": "print(1)"}, 60)
            times.append(answer.seconds * 1000 if answer and answer.status == 200 else float("inf"))
        row = {"seconds": round(time.monotonic() - began), "runs": counts["good"],
               "run_p50_ms": round(percentile(times, 50), 2), "run_p99_ms": round(percentile(times, 99), 2),
               **resources(service)}
        rows.append(row)
        writer.writerow(row)
        print(" ".join(f"{name}={row[name]}" for name in COLUMNS), flush=True)
        try:
            await asyncio.wait_for(until.wait(), every)
        except TimeoutError:
            pass
    client.close()
    return rows


async def measure(service, options, writer):
    program = f"{options.programs}/http_load"
    keys = [service.add_key(f"tenant{number}") for number in range(4)]
    service.reload()
    counts, until = {"good": 0, "bad": 0}, asyncio.Event()
    watchers = [asyncio.create_task(sample(service, keys[3], until, options.every, counts, writer)),
                asyncio.create_task(cancel_runs(service, keys[2], until))]
    with tempfile.TemporaryDirectory() as directory:
        bodies = []
        for number, (language, code, fields, _, _) in enumerate(KINDS):
            bodies.append(f"{directory}/{number}.json")
            instance.write(bodies[-1], json.dumps({"language": language, "code": code, **fields}))
        batch = min(options.runs, BATCH)
        while counts["good"] + counts["bad"] < options.runs:
            results = await asyncio.gather(*(
                load(program, service, keys[number % 3], bodies[number], max(1, share // 12), max(1, batch * share // 100),
                     expected)
                for number, (_, _, _, expected, share) in enumerate(KINDS)))
            for kind, result in zip(KINDS, results):
                counts["bad"] += result["failed"]
                counts["good"] += result["runs"] - result["failed"]
                if result["failed"]:
                    print(f"{result['failed']} wrong answers to: {kind[0]} {kind[1]!r}", flush=True)
    until.set()
    _, cancelled = await asyncio.gather(*watchers)
    print(f"runs {counts['good']}, wrong {counts['bad']}, cancelled {cancelled}")
    return counts["bad"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--programs", default="bench", help="where http_load is")
    parser.add_argument("--runs", type=int, default=1000000)
    parser.add_argument("--every", type=float, default=30, help="seconds from one measurement to the next")
    parser.add_argument("--csv", default="soak.csv")
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        with open(options.csv, "w", encoding="utf-8", newline="", buffering=1) as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            bad = asyncio.run(measure(service, options, writer))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

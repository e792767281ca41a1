"""machine.py - programs in a cell and outside: the most memory that they use, and the time of 700 commands.

usage: machine.py [--prefix PREFIX] [--rounds N]

The first table has twenty programs: memory_peak_bytes beside the "Maximum resident set size" of /usr/bin/time -v. The
second one has Python programs that import something, which begin with what their zygote has imported. The last line is a loop of 700 greps in bash, by a clock outside and by usage.wall_ms in a cell.
"""
import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time

import http_client
import instance

MIB = 1 << 20
GREPS = "for i in $(seq 700); do echo line $i | grep -q line || exit 1; done\necho done\n"
TOUCH = "b = bytearray({0} << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\n"
C_TOUCH = """#include <stdlib.h>
int main(void) {{ volatile char *p = malloc({0}); for (long i = 0; i < {0}; i += 4096) p[i] = 1; return 0; }}
"""
C_FREED = """#include <stdlib.h>
int main(void) { for (int n = 0; n < 8; n++) { volatile char *p = malloc(30 << 20);
    for (long i = 0; i < 30 << 20; i += 4096) p[i] = 1; free((void *)p); } return 0; }
"""
# name: language, code, how to start it outside (None: compile it)
PROGRAMS = {
    **{f"python3, {n} MiB": ("python3", TOUCH.format(n), ["python3", "-S", "-I"]) for n in (8, 16, 64, 200)},
    "python3, a list of 10^6": ("python3", "x = list(range(10**6))\n", ["python3", "-S", "-I"]),
    "python3, a dict of 10^6": ("python3", "x = {i: str(i) for i in range(10**6)}\n", ["python3", "-S", "-I"]),
    "python3, a string": ("python3", "x = 'a' * (50 << 20)\n", ["python3", "-S", "-I"]),
    "python3, sorting": ("python3", "import random\nx = sorted(random.random() for _ in range(10**6))\n",
                         ["python3", "-S", "-I"]),
    "nodejs, an array": ("nodejs", "const x = new Float64Array(8 << 20).fill(1)\n", ["node"]),
    "nodejs, objects": ("nodejs", "const x = []; for (let i = 0; i < 1e6; i++) x.push({i})\n", ["node"]),
    "perl, an array": ("perl", "my @x = (1 .. 1_000_000);\n", ["perl"]),
    "perl, a string": ("perl", "my $x = 'a' x (32 << 20);\n", ["perl"]),
    "awk, a table": ("awk", "BEGIN { for (i = 0; i < 1000000; i++) x[i] = i }\n", ["awk", "-f"]),
    "bash, a string": ("bash", "printf -v x '%*s' 20000000 a\n", ["bash"]),
    "c, nothing": ("c", "int main(void) { return 0; }\n", None),
    **{f"c, {n} MiB": ("c", C_TOUCH.format(n << 20), None) for n in (8, 30, 100)},
    "c, freed": ("c", C_FREED, None),
    "cpp, a vector": ("cpp", "#include <vector>\nint main() { std::vector<int> v; for (int i = 0; i < 8000000; i++) "
                      "v.push_back(i); return v[5] - 5; }\n", None),
}
PYTHON = ["/usr/bin/python3"]
IMPORTS = {
    name: ("python3", code, PYTHON) for name, code in {
        "json": "import json\nprint(json.dumps([1]))\n",
        "re": "import re\nprint(re.findall('a', 'aa'))\n",
        "datetime": "import datetime\nprint(datetime.date.today())\n",
        "dataclasses, typing": "import dataclasses, typing\n",
        "asyncio": "import asyncio\nasyncio.run(asyncio.sleep(0))\n",
        "threading": "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\n",
        "subprocess": "import subprocess\nsubprocess.run(['true'])\n",
        "sqlite3": "import sqlite3\nsqlite3.connect(':memory:').execute('select 1')\n",
        "unittest": "import unittest\n",
        "urllib.request": "import urllib.request\n",
        "json, and 50 MiB": "import json\nx = [0] * (50 << 17)\n",
        "json, and 200 MiB": "import json\nx = bytearray(200 << 20)\n",
        "random, a list of 10^6": "import random\nx = [random.random() for _ in range(10**6)]\n",
        "requests": "import requests\n",
        "jinja2": "import jinja2\njinja2.Template('{{ a }}').render(a=1)\n",
        "httpx": "import httpx\n",
        "numpy": "import numpy\nnumpy.arange(10).sum()\n",
        "numpy, and 50 MiB": "import numpy\nnumpy.ones(50 << 17).sum()\n",
        "pandas": "import pandas\npandas.DataFrame({'a': [1, 2]}).describe()\n",
        "Pillow": "from PIL import Image\nImage.new('RGB', (10, 10))\n",
    }.items()
}


def outside_bytes(language, code, command, directory):
    """The most memory of the program outside, or None if it cannot be carried out."""
    file = f"{directory}/main.{ {'c': 'c', 'cpp': 'cc'}.get(language, 'txt')}"
    instance.write(file, code)
    if command is None:
        program = f"{directory}/main"
        compiler = {"c": "gcc", "cpp": "g++"}[language]
        if subprocess.run([compiler, "-O2", "-o", program, file], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return None
        argv = [program]
    else:
        argv = [*command, file]
    try:
        done = subprocess.run(["/usr/bin/time", "-v", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False, text=True)
    except FileNotFoundError:
        sys.exit("machine.py: /usr/bin/time is not installed (Debian's package time)")
    found = re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr)
    return int(found[1]) * 1024 if done.returncode == 0 and found else None


async def run(service, body):
    return await http_client.Client(service.port).send("POST", "/v1/sandbox/run", service.key, body)


def inside(service, language, code):
    """The usage of a run, or None if it did not end well."""
    limits = {"memory_bytes": 256 * MIB, "wall_ms": 10000}
    answer = asyncio.run(run(service, {"language": language, "code": code, "limits": limits}))
    return answer.data["usage"] if answer and answer.data.get("status") == "ok" else None


def memory(service, rounds, programs):
    print(f"{'program':28} {'time -v':>10} {'request':>10}  ratio")
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        for name, (language, code, command) in programs.items():
            outside = outside_bytes(language, code, command, directory)
            peaks = [usage["memory_peak_bytes"] for usage in (inside(service, language, code) for _ in range(rounds)) if usage]
            if outside is None or not peaks:
                print(f"{name:28}   not carried out")
                continue
            peak = statistics.median(peaks)
            print(f"{name:28} {outside / MIB:6.1f} MiB {peak / MIB:6.1f} MiB  {peak / outside:.2f}", flush=True)
            if outside > 8 * MIB:
                worst = max(worst, abs(peak / outside - 1))
    print(f"the largest difference above 8 MiB: {100 * worst:.0f} %")


def greps(service, rounds):
    ratios = []
    with tempfile.TemporaryDirectory() as directory:
        file = f"{directory}/greps"
        instance.write(file, GREPS)
        for _ in range(rounds):
            began = time.monotonic()
            subprocess.run(["bash", file], stdout=subprocess.DEVNULL, check=True)
            outside = 1000 * (time.monotonic() - began)
            usage = inside(service, "bash", GREPS)
            if usage is None:
                print("700 greps: not carried out")
                return
            ratios.append((usage["wall_ms"] / outside, outside, usage["wall_ms"]))
    ratio, outside, wall = sorted(ratios)[len(ratios) // 2]
    print(f"700 greps: {outside:.0f} ms outside, {wall:.0f} ms in a cell, ratio {ratio:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        memory(service, options.rounds, PROGRAMS)
        memory(service, options.rounds, IMPORTS)
        greps(service, options.rounds)


if __name__ == "__main__":
    main()

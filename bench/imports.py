"""imports.py - programs that import something, through TLS and by a bare interpreter.

usage: imports.py [--prefix PREFIX] [--programs DIRECTORY] [--rounds N]

For each program: the median time of a request with one client, that of `python3 FILE`, and their ratio. The two are
measured in turn. The last line is the geometric mean of the ratios. A program whose modules are not installed is left
out.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import instance

HERE = os.path.dirname(os.path.abspath(__file__))
REQUESTS = 40  # of a round
STARTS = 8
MAIN = {"python3": "main.py", "nodejs": "main.js"}
MODULES = (  # programs that only import
    "json, re", "datetime", "collections, itertools, functools", "decimal", "threading", "sqlite3", "csv",
    "urllib.parse", "tempfile", "hashlib, uuid", "logging", "dataclasses, typing", "asyncio", "random, string",
    "math, statistics", "os, sys, time", "base64, io", "pathlib", "subprocess", "argparse", "heapq, bisect",
    "copy, pprint", "html, html.parser", "xml.etree.ElementTree", "http.client", "email.message", "fractions",
    "textwrap, difflib", "enum, abc", "contextlib", "unittest", "zipfile, gzip", "socket, ssl", "multiprocessing",
    "pickle, struct", "jinja2", "requests", "httpx", "yaml", "dateutil.parser", "bs4", "openpyxl", "PIL.Image",
    "lxml.etree",
)
PROGRAMS = {
    "print(1)": "print(1)\n",
    **{modules: f"import {modules}\nprint(1)\n" for modules in MODULES},
    "numpy": "import numpy\nprint(numpy.arange(10).sum())\n",
    "pandas": "import pandas\nprint(pandas.DataFrame({'a': [1, 2, 3], 'b': [4.0, 5.5, 6.0]}).describe().shape)\n",
    "matplotlib": "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\n"
                  "plt.savefig('/tmp/a.png')\nprint(1)\n",
}
NODES = {"Dify's code node": "dify_code.py", "Dify's template node": "dify_jinja2.py"}


def programs():
    found = dict(PROGRAMS)
    for name, file in NODES.items():
        found[name] = instance.read(f"{HERE}/{file}")
    return found


def bare_ms(interpreter, file):
    """The time of a start, or None if the program fails."""
    began = time.monotonic()
    done = subprocess.run([interpreter, file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    return 1000 * (time.monotonic() - began) if done.returncode == 0 else None


def hot(service, options, body):
    """The figures of http_load for one round."""
    done = subprocess.run([f"{options.programs}/http_load", f"https://127.0.0.1:{service.tls_port}/v1/sandbox/run", "1",
                           str(REQUESTS), body, '"exit_code":0'], env={**os.environ, "CELLBLOCK_API_KEY": service.key},
                          stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


def measure(service, options, language, interpreter, code, directory):
    """(p50 through TLS, p50 bare, failed requests), or None where the program does not run outside."""
    file, body = f"{directory}/{MAIN[language]}", f"{directory}/body"
    instance.write(file, code)
    instance.write(body, json.dumps({"language": language, "code": code}))
    if bare_ms(interpreter, file) is None:
        return None
    hot(service, options, body)  # the first runs may wake the language
    answers, bare, failed = [], [], 0
    for _ in range(options.rounds):
        bare += [bare_ms(interpreter, file) for _ in range(STARTS)]
        figures = hot(service, options, body)
        failed += figures["failed"]
        answers.append(figures["p50_ms"])
    return statistics.median(answers), statistics.median(bare), failed


def table(service, options, language, interpreter, those, directory):
    """Measure the programs in the directory, and print a line for each. Returns how many requests failed."""
    ratios, bad, width = [], 0, max(map(len, those))
    print(f"{'program':{width}} {'bare':>9} {'request':>9}  ratio")
    for name, code in those.items():
        figures = measure(service, options, language, interpreter, code, directory)
        if figures is None:
            print(f"{name:{width}}   not installed")
            continue
        request_ms, start_ms, failed = figures
        ratios.append(request_ms / start_ms)
        bad += failed
        print(f"{name:{width}} {start_ms:6.1f} ms {request_ms:6.2f} ms  {ratios[-1]:.3f}"
              f"{f'  {failed} FAILED' if failed else ''}", flush=True)
    print(f"geometric mean of {len(ratios)} programs: {math.exp(statistics.mean(map(math.log, ratios))):.3f}")
    return bad


def option_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--programs", default="bench", help="where http_load is")
    parser.add_argument("--rounds", type=int, default=3)
    return parser


def main():
    options = option_parser(__doc__).parse_args()
    with instance.serving(options.prefix) as service, tempfile.TemporaryDirectory() as directory:
        bad = table(service, options, "python3", instance.configured_interpreter(service.conf)[0], programs(), directory)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

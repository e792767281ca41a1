"""imports_nodejs.py - Node programs that require something, through TLS and by a bare node.

usage: imports_nodejs.py [--prefix PREFIX] [--programs DIRECTORY] [--rounds N] [--packages "NAME ..."]

As imports.py. npm installs the packages into the set of the service; a program of which one is missing is left out.
"""
import argparse
import glob
import json
import math
import os
import statistics
import sys
import tempfile
import urllib.error
import urllib.request

import instance
from imports import STARTS, bare_ms, hot

MODULES = ("fs, path", "crypto", "http", "https", "http2", "stream", "zlib", "util", "worker_threads", "child_process",
           "url", "net, tls", "events, assert", "readline", "vm, v8")
PACKAGES = {
    "lodash": "console.log(require('lodash').chunk([1, 2, 3], 2))\n",
    "axios": "console.log(typeof require('axios').get)\n",
    "zod": "console.log(require('zod').z.string().parse('a'))\n",
    "express": "console.log(typeof require('express')())\n",
    "uuid": "console.log(require('uuid').v5('a', require('uuid').v5.URL))\n",
    "dayjs": "console.log(require('dayjs')('2020-01-02').format('D.M.YYYY'))\n",
}


def programs(packages):
    found = {"console.log(1)": "console.log(1)\n"}
    for modules in MODULES:
        found[modules] = "".join(f"require('{name}');\n" for name in modules.split(", ")) + "console.log(1)\n"
    return {**found, **{name: PACKAGES[name] for name in packages}}


def install(service, packages):
    """Put the packages into the service's set. Returns their directory, or None."""
    for directory in glob.glob(f"{service.dir}/**/dependencies/nodejs/package.json", recursive=True):
        instance.write(directory, json.dumps({"private": True, "dependencies": dict.fromkeys(packages, "*")}))
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}/v1/sandbox/dependencies/refresh?language=nodejs",
                                     headers={"X-Api-Key": service.key})
    try:
        with urllib.request.urlopen(request, timeout=600) as reply:
            reply.read()
    except urllib.error.URLError as error:
        print(f"no packages: {error}")
        return None
    found = glob.glob(f"{service.dir}/**/nodejs/current/node_modules", recursive=True)
    return found[0] if found else None


def measure(service, options, code, directory):
    """(p50 through TLS, p50 bare, failed requests), or None where the program does not run outside."""
    file, body = f"{directory}/main.js", f"{directory}/body"
    instance.write(file, code)
    instance.write(body, json.dumps({"language": "nodejs", "code": code}))
    interpreter = instance.configured_program(service.conf, "nodejs") or "/usr/bin/node"
    if bare_ms(interpreter, file) is None:
        return None
    hot(service, options, body)  # the first runs wake the language
    answers, bare, failed = [], [], 0
    for _ in range(options.rounds):
        bare += [bare_ms(interpreter, file) for _ in range(STARTS)]
        figures = hot(service, options, body)
        failed += figures["failed"]
        answers.append(figures["p50_ms"])
    return statistics.median(answers), statistics.median(bare), failed


def table(service, options):
    ratios, bad = [], 0
    packages = options.packages.split()
    place = install(service, packages) if packages else None
    with tempfile.TemporaryDirectory() as directory:
        if place is not None:
            os.symlink(place, f"{directory}/node_modules")
        print(f"{'program':24} {'bare':>9} {'request':>9}  ratio")
        for name, code in programs(packages).items():
            figures = measure(service, options, code, directory)
            if figures is None:
                print(f"{name:24}   not installed")
                continue
            request_ms, start_ms, failed = figures
            ratios.append(request_ms / start_ms)
            bad += failed
            print(f"{name:24} {start_ms:6.1f} ms {request_ms:6.2f} ms  {ratios[-1]:.3f}"
                  f"{f'  {failed} FAILED' if failed else ''}", flush=True)
    print(f"geometric mean of {len(ratios)} programs: {math.exp(statistics.mean(map(math.log, ratios))):.3f}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--programs", default="bench", help="where http_load is")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packages", default=" ".join(PACKAGES))
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        bad = table(service, options)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

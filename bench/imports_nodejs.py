"""imports_nodejs.py - Node programs that require something, through TLS and by a bare node.

usage: imports_nodejs.py [--prefix PREFIX] [--programs DIRECTORY] [--rounds N] [--packages "NAME ..."]

As imports.py. npm installs the packages into the set of the service; a program of which one is missing is left out.
"""
import glob
import json
import os
import sys
import tempfile
import urllib.error
import urllib.request

import instance
from imports import option_parser, table

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


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--packages", default=" ".join(PACKAGES))
    options = parser.parse_args()
    packages = options.packages.split()
    with instance.serving(options.prefix) as service, tempfile.TemporaryDirectory() as directory:
        place = install(service, packages) if packages else None
        if place is not None:
            os.symlink(place, f"{directory}/node_modules")
        interpreter = instance.configured_program(service.conf, "nodejs") or "/usr/bin/node"
        bad = table(service, options, "nodejs", interpreter, programs(packages), directory)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

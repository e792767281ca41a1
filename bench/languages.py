"""languages.py - a first program of each language: the command to run it without Cellblock, and new variants of it.

As a program it is a load generator for bench.py. Each run sends a program that the cache does not have: blanks at
its end make it different.

    languages.py URL RUNS BODY EXPECT
"""
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LANGUAGES = (  # name, file, its text (None: hello.* of t/languages), compiler, command; {} is the directory of the file
    ("bash", "main.sh", "echo hello\n", None, ["/usr/bin/bash", "{}/main.sh"]),
    ("c", "main.c", None, ["/usr/bin/gcc", "-O2", "-o", "main", "main.c"], ["{}/main"]),
    ("cpp", "main.cpp", None, ["/usr/bin/g++", "-O2", "-std=gnu++20", "-o", "main", "main.cpp"], ["{}/main"]),
    ("fortran", "main.f90", None, ["/usr/bin/gfortran", "-O2", "-fopenmp", "-o", "main", "main.f90"], ["{}/main"]),
    ("go", "main.go", None, ["/bin/sh", "-c", "go tool compile -p main -o main.o main.go && go tool link -o main main.o"],
     ["{}/main"]),
    ("haskell", "main.hs", None, ["/usr/bin/ghc", "-v0", "-threaded", "-o", "main", "main.hs"], ["{}/main"]),
    ("java", "Main.java", None, ["/usr/bin/javac", "Main.java"], ["/usr/bin/java", "-cp", "{}", "Main"]),
    ("ocaml", "main.ml", None, ["/usr/bin/ocamlopt", "-o", "main", "main.ml"], ["{}/main"]),
    ("pascal", "main.pas", None, ["/usr/bin/fpc", "-v0", "-omain", "main.pas"], ["{}/main"]),
    ("rust", "main.rs", None, ["/usr/bin/rustc", "-O", "-o", "main", "main.rs"], ["{}/main"]),
)


def source(name, file, text):
    """The program's text, or None."""
    path = f"{TOP}/t/languages/{name}/hello.{file.rsplit('.', 1)[1]}"
    if text is None and os.path.exists(path):
        with open(path, encoding="utf-8") as program:
            text = program.read()
    return text


def build(directory, file, text, compiler):
    """Build the program that runs without Cellblock in the directory. Returns the reason of a failure, or None."""
    os.makedirs(directory)
    with open(f"{directory}/{file}", "w", encoding="utf-8") as program:
        program.write(text)
    try:
        done = compiler and subprocess.run(compiler, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return f"{compiler[0]}: {done.stdout[-150:]}" if done and done.returncode != 0 else None


def unheard():
    """Blanks that no earlier run had."""
    return f"{time.time_ns():b}".replace("0", " ").replace("1", "\n")


def main():
    url, runs, body, expect = sys.argv[1:]
    place = urllib.parse.urlsplit(url)
    with open(body, encoding="utf-8") as file:
        request = json.load(file)
    code, times, failed = request["code"], [], 0
    link = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
    headers = {"X-Api-Key": os.environ["CELLBLOCK_API_KEY"], "Content-Type": "application/json"}
    for _ in range(int(runs)):
        request["code"] = code + unheard()
        text = json.dumps(request)
        begin = time.monotonic()
        link.request("POST", place.path, text, headers)
        answer = link.getresponse().read().decode()
        times.append(1000 * (time.monotonic() - begin))
        failed += expect not in answer
    times.sort()
    print(json.dumps({"runs": len(times), "failed": failed, "per_second": 1000 / statistics.mean(times),
                      "p50_ms": statistics.median(times)}))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""bench.py - Cellblock beside bare interpreters, in one run: latency, throughput, CPU time, memory.

It measures in rounds. Each round takes every measure once and in another order, so that a change of the
machine's speed affects all measures. A figure is the median of the rounds, a ratio the median of the rounds'
ratios. A measure that cannot be taken here has a row that says so. The exit status is 0 whatever the figures are.
"""
import sys

sys.dont_write_bytecode = True  # a benchmark leaves nothing in the source tree

import argparse
import json
import operator
import os
import random
import shutil
import statistics
import subprocess
import time

import chart
import instance
import languages
import report

HERE = os.path.dirname(os.path.abspath(__file__))
PRINT = "print(1)"
CLIENTS = (1, 2, 8, 32)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}  # of the service
NODES = {"code": "dify_code.py", "jinja2": "dify_jinja2.py"}
NODE_PRINT = "console.log(1)"
NODE_CLIENTS = (1, 8)
FIRST_RUNS = 5  # runs of new programs in a round: compilers are slow
SETTLE_SECONDS = 0.03  # for pending work of the last measure


class Measure:
    """One way to run one program with some clients. `argv` returns the command for a number of runs."""

    def __init__(self, way, clients, argv, hot=False, user=None, group=None, why_not=None):
        self.way, self.clients, self.argv, self.user, self.why_not = way, clients, argv, user, why_not
        self.group = group  # an instance.Group that counts CPU time: bwrap does not wait for its child
        self.warm_up_runs = 40 + 2 * clients if hot else 2 + clients
        self.runs = 0
        self.rounds = []  # the results of the load generator
        self.failed = 0
        self.used, self.used_runs = {}, 0  # by the instance, if it is measured

    def take(self, runs):
        """Run the load generator. None if that failed; then why_not has the reason."""
        more = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        if self.group and self.group.path:
            more["preexec_fn"] = self.group.enter
        try:
            before_ms = self.group.cpu_ms() if self.group and self.group.path else None
            done = subprocess.run(self.argv(runs), env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=120, check=False, **more)
            taken = json.loads(done.stdout)
            if self.group:
                taken["cpu_ms"] = (self.group.cpu_ms() - before_ms) / runs if self.group.path else None
                taken["page_faults"] = None
        except (OSError, LookupError, subprocess.TimeoutExpired) as error:
            self.why_not = str(error)
        except ValueError:
            self.why_not = done.stderr.strip()[-200:] or f"exit status {done.returncode}"
        if self.why_not:
            return None
        self.failed += taken["failed"]
        if taken["failed"] == taken["runs"]:
            self.why_not = f"all of {taken['runs']} runs failed: {done.stderr.strip()[-200:]}"
            return None
        return taken

    def warm_up(self, seconds):
        taken = self.take(self.warm_up_runs) if not self.why_not else None
        if taken and not self.runs:
            self.runs = max(5, self.clients + self.clients // 2, round(taken["per_second"] * seconds))

    def measure(self, service):
        """Measure once more; with a `service`, add up its CPU time."""
        time.sleep(SETTLE_SECONDS)
        before = service.cpu() if service else {}
        taken = self.take(self.runs)
        if service and taken:
            time.sleep(SETTLE_SECONDS)  # making cells for the next runs is a part of the cost of these
            for kind, value in service.cpu().items():
                self.used[kind] = self.used.get(kind, 0) + value - before.get(kind, 0)
            self.used_runs += taken["runs"]
        self.rounds.append(taken)


class Measures:
    """All measures, by (way, clients)."""

    def __init__(self):
        self.every = {}

    def add(self, way, clients, argv, **more):
        self.every[way, clients] = Measure(way, clients, argv, **more)

    def get(self, way, clients=1):
        return self.every[way, clients]

    def value(self, way, key, clients=1):
        """The median of the rounds, or None."""
        measure = self.get(way, clients)
        values = [taken[key] for taken in measure.rounds if taken and taken[key] is not None]
        values = [] if measure.why_not else values
        return statistics.median(values) if values else None

    def best(self, way, key, clients=1):
        """The value of the best round, in which the machine was least busy with other work, or None."""
        values = [taken[key] for taken in self.get(way, clients).rounds if taken]
        return (max if key == "per_second" else min)(values) if values else None

    def compare(self, operation, way, other, key, clients):
        one, two = self.get(way, clients), self.get(other, clients)
        if one.why_not or two.why_not:
            return None
        values = [operation(a[key], b[key]) for a, b in zip(one.rounds, two.rounds) if a and b and b[key]]
        return statistics.median(values) if values else None

    def ratio(self, way, other, key, clients=1):
        """The median of the rounds' ratios of one measure to another, or None."""
        return self.compare(operator.truediv, way, other, key, clients)

    def difference(self, way, other, key, clients=1):
        """The median of the rounds' differences of one measure and another, or None."""
        return self.compare(operator.sub, way, other, key, clients)


class Bench:
    def __init__(self, options):
        self.options = options
        self.measures = Measures()
        self.languages = Measures()  # measured late: it wakes languages that an idle service has not in memory
        self.networks = Measures()  # measured last: its service has another configuration
        self.group = instance.Group()
        self.service = None  # a serving Instance
        self.why_no_service = None
        self.idle = self.loaded = None  # Instance.memory()

    # ---- the measures ----

    def start_service(self, service):
        if os.geteuid() != 0:
            self.why_no_service = "only root can start it"
        else:
            self.why_no_service = service.start()
        if not self.why_no_service:
            self.service = service

    def program(self, name):
        path = os.path.join(self.options.programs, name)
        return path, None if os.access(path, os.X_OK) else f"{name} has not been built"

    def add_bare(self, conf, interpreter, imports):
        spawn, why_not = self.program("spawn_load")
        bwrap = shutil.which("bwrap")
        walls = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", "/", "/",
                 "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        why_no_bwrap = why_not or (None if bwrap else "bwrap is not installed")
        bare, usual = [interpreter, "-I", "-S", "-c", PRINT], [interpreter, "-c", PRINT]

        def spawned(clients, command, expect="1\n"):
            return lambda runs: [spawn, str(clients), str(runs), expect, *command]

        self.measures.add("floor", 1, lambda runs: [interpreter, f"{HERE}/floor.py", str(runs), *imports], hot=True)
        self.measures.add("usual", 1, spawned(1, usual), why_not=why_not)
        self.measures.add("bwrap_usual", 1, spawned(1, walls + usual), group=self.group, why_not=why_no_bwrap)
        for clients in CLIENTS:
            self.measures.add("bare", clients, spawned(clients, bare), why_not=why_not)
            self.measures.add("bwrap", clients, spawned(clients, walls + bare), group=self.group, why_not=why_no_bwrap)
        node_js = instance.configured_program(conf, "nodejs")
        why_no_node = why_not or (None if node_js and os.access(node_js, os.X_OK) else "no Node.js is configured")
        for clients in NODE_CLIENTS:
            self.languages.add("node_bare", clients, spawned(clients, [node_js or "node", "-e", NODE_PRINT]), why_not=why_no_node)
        for node, file in NODES.items():
            self.measures.add(f"{node}_cold", 1, spawned(1, [interpreter, f"{HERE}/{file}"], "<<RESULT>>"), why_not=why_not)

    def add_cellblock(self, directory):
        service = self.service
        http, why_no_http = self.program("http_load")
        runner, why_no_runner = self.program("runner_load")
        why_no_http, why_no_runner = self.why_no_service or why_no_http, self.why_no_service or why_no_runner
        if not why_no_runner:
            runner = shutil.copy(runner, directory)  # to a place that the workers' user can reach
            os.chmod(runner, 0o755)
        scheme_ports = {"plain": ("http", service.port), "tls": ("https", service.tls_port)} if service else {}

        def body(name, code, language="python3"):
            path = f"{directory}/{name}.json"
            instance.write(path, json.dumps({"language": language, "code": code, "preload": "", "enable_network": True}))
            return path

        def asked(way, clients, path, expect):
            scheme, port = scheme_ports.get(way, (None, None))
            url = f"{scheme}://127.0.0.1:{port}/v1/sandbox/run"
            return lambda runs: [http, url, str(clients), str(runs), path, expect]

        def connected(clients):
            return lambda runs: [runner, service.socket, str(clients), str(runs), str(service.language_index("python3"))]

        path = body("print", PRINT + "\n")
        for clients in CLIENTS:
            self.measures.add("runner", clients, connected(clients), hot=True, why_not=why_no_runner,
                              user=service.worker_user if service else None)
            for way in ("plain", "tls"):
                self.measures.add(way, clients, asked(way, clients, path, '"stdout":"1\\n"'), hot=True, why_not=why_no_http)
        path = body("node_print", NODE_PRINT + "\n", "nodejs")
        for clients in NODE_CLIENTS:
            self.languages.add("node_tls", clients, asked("tls", clients, path, '"stdout":"1\\n"'), hot=True, why_not=why_no_http)
        for node, file in NODES.items():
            path = body(node, instance.read(f"{HERE}/{file}"))
            self.measures.add(f"{node}_hot", 1, asked("tls", 1, path, "<<RESULT>>"), hot=True, why_not=why_no_http)

    def add_languages(self, directory):
        spawn, why_no_spawn = self.program("spawn_load")
        http, why_no_http = self.program("http_load")
        url = f"http://127.0.0.1:{self.service.port if self.service else 0}/v1/sandbox/run"
        first = [sys.executable, f"{HERE}/languages.py", url]

        def spawned(command):
            return lambda runs: [spawn, "1", str(runs), "hello", *command]

        def asked(command, path):
            return lambda runs: [*command, str(runs), path, '"stdout":"hello\\n"']

        for name, file, text, compiler, command in languages.LANGUAGES:
            home, path = f"{directory}/bare/{name}", f"{directory}/{name}.json"
            text = languages.source(name, file, text)
            if text is None or (self.options.quick and name not in ("bash", "c")):
                continue
            instance.write(path, json.dumps({"language": name, "code": text}))
            self.tell(f"compiling {name}")
            why_not = languages.build(home, file, text, compiler) or why_no_spawn
            self.languages.add(f"{name}_bare", 1, spawned([word.format(home) for word in command]), why_not=why_not)
            self.languages.add(f"{name}_known", 1, asked([http, url, "1"], path), why_not=self.why_no_service or why_no_http)
            if not compiler:
                continue
            self.languages.add(f"{name}_first", 1, asked(first, path), why_not=self.why_no_service)
            self.languages.get(f"{name}_first").runs = FIRST_RUNS if name == "c" else 2

    def add_networks(self, directory):
        """Runs that may use a network, which they do not, beside runs that may not."""
        http, why_not = self.program("http_load")
        url = f"https://127.0.0.1:{self.service.tls_port if self.service else 0}/v1/sandbox/run"

        def asked(clients, path):
            return lambda runs: [http, url, str(clients), str(runs), path, '"stdout":"1\\n"']

        for way, is_asked in (("without", False), ("with", True)):
            path = f"{directory}/network_{way}.json"
            instance.write(path, json.dumps({"language": "python3", "code": PRINT + "\n", "enable_network": is_asked}))
            for clients in NODE_CLIENTS:
                self.networks.add(way, clients, asked(clients, path), hot=True, why_not=self.why_no_service or why_not)
        if self.service:
            self.service.have_proxy()
            self.service.reload()

    # ---- measuring ----

    def tell(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def measure(self, measures):
        every = list(measures.every.values())
        for number, measure in enumerate(every):
            self.tell(f"warming up, {number + 1} of {len(every)}")
            measure.warm_up(self.options.seconds)
        for number in range(self.options.rounds):
            random.Random(number).shuffle(every)
            for done, measure in enumerate(every):
                self.tell(f"round {number + 1} of {self.options.rounds}, measure {done + 1} of {len(every)}")
                if not measure.why_not:
                    measure.measure(self.service if measure.way == "tls" and measure.clients in (1, 8) else None)
        self.tell("")

    def measure_memory(self):
        load = self.measures.get("tls", 8)
        seconds = 4 * self.options.seconds
        if not load.why_not:
            runs = round(load.runs * seconds / self.options.seconds)
            with subprocess.Popen(load.argv(runs), env=ENVIRONMENT, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as client:
                samples = []
                while client.poll() is None:
                    samples.append(self.service.memory())
                    time.sleep(seconds / 50)
            samples.sort(key=lambda used: sum(pss for pss, _ in used["all"]))
            self.loaded = samples[len(samples) // 2] if samples else None
        time.sleep(1)
        self.idle = self.service.memory()

    def run(self):
        started = time.time()
        load_average = [os.getloadavg()[0]]
        service = instance.Instance(self.options.prefix)
        try:
            self.tell("starting the service")
            self.start_service(service)
            conf = self.service.conf if self.service else f"{instance.ROOT}/etc"
            interpreter, imports = instance.configured_interpreter(conf)
            if self.service:
                ENVIRONMENT["CELLBLOCK_API_KEY"] = service.key
            self.add_bare(conf, interpreter, imports)
            self.add_cellblock(service.dir)
            self.measure(self.measures)
            if self.service:
                self.tell("memory")
                self.measure_memory()
            self.add_languages(service.dir)
            self.measure(self.languages)
            self.add_networks(service.dir)
            self.measure(self.networks)
        finally:
            self.tell("")
            instance.ignore_signals()
            service.stop()
            self.group.remove()
        load_average.append(os.getloadavg()[0])
        return report.collect(self, interpreter, load_average, time.time() - started)


def main():
    parser = argparse.ArgumentParser(description="Measure Cellblock beside bare Python.")
    parser.add_argument("--quick", action="store_true", help="about 20 seconds, less precise")
    parser.add_argument("--json", metavar="FILE", help="also write all figures to FILE")
    parser.add_argument("--chart", metavar="FILE", help="also draw the latencies, as SVG")
    parser.add_argument("--prefix", help="serve the programs that are installed there; without it the tree is built")
    parser.add_argument("--programs", default=HERE, help="directory of the load generators (default: the one of this file)")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.1) if options.quick else (7, 0.4)
    for path in filter(None, (options.json, options.chart)):
        instance.write(path, "")  # fail now instead of at the end
    instance.exit_on_signals()
    try:
        result = Bench(options).run()
    except KeyboardInterrupt:
        sys.exit(130)
    report.show(result)
    if options.json:
        instance.write(options.json, json.dumps(result, indent=1) + "\n")
    if options.chart:
        try:
            instance.write(options.chart, chart.draw(result))
        except ValueError as error:
            sys.exit(f"{options.chart}: {error}")


main()

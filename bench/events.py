"""events.py - how long output takes from write(2) in a program to its client, and the time of runs with events.

usage: events.py [--prefix PREFIX] [--writes N] [--runs N] [--busy N]

A program writes the time of its monotonic clock, which is the host's. The client subtracts it from the time at which
the line arrives. Three programs: one writes every 20 ms, one every 3 ms (the service gathers what is written within
5 ms), and one as fast as it can, of which every hundredth line counts. With --busy, N others keep processors busy
meanwhile. Then short runs, plain and with events by turns, on one connection each.
"""
import argparse
import http.client
import json
import statistics
import sys
import time

import instance

HEAD = {"Content-Type": "application/json"}
WRITER = """import os, time
for i in range(%d):
    os.write(1, b"%%.9f\\n" %% time.monotonic())
    %s
"""
PACES = (("every 20 ms", "time.sleep(0.02)"), ("every 3 ms", "time.sleep(0.003)"),
         ("without a pause", "for _ in range(99): os.write(1, b'-\\n')"))
BUSY = "import time\nuntil = time.monotonic() + %d\nwhile time.monotonic() < until: pass\n"


class Client:
    def __init__(self, service):
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port)
        self.key = service.key

    def ask(self, accept, **fields):
        body = json.dumps({"language": "python3", "limits": {"wall_ms": 120000, "cpu_ms": 120000}, **fields})
        self.connection.request("POST", "/v1/sandbox/run", body, {**HEAD, "X-Api-Key": self.key, "Accept": accept})
        return self.connection.getresponse()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def latencies(service, code):
    """From write to arrival, in ms, and the number of output events."""
    answer = Client(service).ask("application/x-ndjson", code=code)
    found, events, last, rest = [], 0, None, ""
    for line in answer:
        now = time.monotonic()
        last = json.loads(line)
        if last["event"] != "stdout":
            continue
        events += 1
        # The last line of an event may be cut; the next event has the rest of it.
        *lines, rest = (rest + last["data"]).split("\n")
        found += [1000 * (now - float(text)) for text in lines if text != "-"]
    if last is None or last["event"] != "result" or last["data"]["status"] != "ok":
        sys.exit(f"the run failed: {last}")
    return found, events


def one_run(client, accept):
    began = time.perf_counter()
    client.ask(accept, code="print(6 * 7)").read()
    return 1000 * (time.perf_counter() - began)


def short_runs(service, count):
    """The times of runs by form, in ms."""
    forms = {"plain": "*/*", "events": "application/x-ndjson"}
    clients = {form: Client(service) for form in forms}
    times = {form: [] for form in forms}
    for i in range(count + 20):
        for form, accept in forms.items():
            took = one_run(clients[form], accept)
            if i >= 20:
                times[form].append(took)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--writes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    with instance.serving(options.prefix) as service:
        busy = [Client(service) for _ in range(options.busy)]
        for client in busy:
            client.connection.request("POST", "/v1/sandbox/run", json.dumps({
                "language": "python3", "code": BUSY % 100, "limits": {"wall_ms": 110000, "cpu_ms": 110000}}),
                {**HEAD, "X-Api-Key": service.key})
        for name, pause in PACES:
            found, events = latencies(service, WRITER % (options.writes, pause))
            print(f"{name:16} {len(found):6} writes in {events:5} events: p50 {percentile(found, 0.5):6.2f} ms, "
                  f"p99 {percentile(found, 0.99):6.2f} ms, most {max(found):6.2f} ms", flush=True)
        for client in busy:
            client.connection.close()
        for form, times in short_runs(service, options.runs).items():
            print(f"print(6 * 7), {form:7}: p50 {statistics.median(times):5.2f} ms, p99 {percentile(times, 0.99):5.2f} ms")


if __name__ == "__main__":
    main()

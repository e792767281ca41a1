"""hosts.py - three nodes behind contrib/nginx/balancer.conf, under load: what clients see when one is stopped or dies.

usage: hosts.py [--prefix PREFIX] [--seconds N] [--clients N] [--only PATTERN]

Each node is a whole service in a network namespace of its own, with the address that balancer.conf has for it. nginx
and the clients are in another one. The clients send runs of 0.1 s all the time. The table has a row for each event: the
answers from its begin until N seconds after it.

Each program opens a file of the host that only its run opens, and inotify counts how often that was. So the table knows
of each request whether it was carried out, and whether that happened twice.

It ends with status 1 if a run was carried out twice, one that had begun was answered 503, an answer was wrong, or one
came without the name of its node. Only root can do this.
"""
import argparse
import asyncio
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import faults
import instance
from http_client import Client, percentile

BALANCER = f"{instance.ROOT}/contrib/nginx/balancer.conf"
NODES = {"node-1": "192.0.2.11", "node-2": "192.0.2.12", "node-3": "192.0.2.13"}  # as balancer.conf has them
FRONT = "192.0.2.1"
PORT, FRONT_PORT = 8194, 8080
FIRST_UID = 1_700_000_000
WARM = 'warm = ( { name = "base"; imports = []; armed = 6; zygotes = 1; } );'
NGINX = """user www-data;
worker_processes 2;
pid {0}/nginx.pid;
error_log {0}/error.log;
events {{ worker_connections 4096; }}
http {{
{1}
include {0}/balancer.conf;
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
HEALTHY_S = 120
START_S = 300  # three services start beside one another here
REQUEST_S = 120

Seen = collections.namedtuple("Seen", "began ended kind number node text")


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


# ---- the network ----

class Space:
    """A network namespace, kept by a process, with a link to the bridge of ours."""

    def __init__(self, number, address):
        # It has the namespace when it has printed something.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
        self.holder.stdout.readline()
        self.inside = ["nsenter", "--net", "-t", str(self.holder.pid), "--"]
        run("ip", "link", "add", f"node{number}", "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "link", "set", f"node{number}", "master", "front", "up")
        run(*self.inside, "ip", "link", "set", "lo", "up")
        run(*self.inside, "ip", "link", "set", "eth0", "up")
        run(*self.inside, "ip", "address", "add", f"{address}/24", "dev", "eth0")

    def kill(self):
        """Every process in it, at once; but for the holder."""
        name = os.readlink(f"/proc/{self.holder.pid}/ns/net")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if int(pid) != self.holder.pid and os.readlink(f"/proc/{pid}/ns/net") == name:
                    os.kill(int(pid), signal.SIGKILL)

    def close(self):
        self.holder.kill()
        self.holder.wait()


def enter():
    """Start this program again in namespaces of its own."""
    if os.environ.get("CELLBLOCK_BENCH_HOSTS") != "inside":
        os.environ["CELLBLOCK_BENCH_HOSTS"] = "inside"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "front", "type", "bridge")
    run("ip", "link", "set", "front", "up")
    run("ip", "address", "add", f"{FRONT}/24", "dev", "front")


# ---- the nodes and the balancer ----

class Marks(faults.Marks):
    """Counts how often each file was opened."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def opened_file(self, number):
        self.counts[number] += 1


def make_node(prefix, number, address, marks):
    """An Instance that can be started, and its Space."""
    space = Space(number, address)
    node = instance.Instance(prefix)
    node.inside, node.port = space.inside, PORT
    conf = f"{node.dir}/service/conf"
    os.makedirs(conf)
    for name in ("cellblock.conf", "languages", "seccomp", "dependencies"):
        subprocess.run(["cp", "-R", f"{instance.ROOT}/etc/{name}", conf], check=True)
    node.configure("first_uid", FIRST_UID + 2 * 8194 * number)  # the nodes share a host, and have one port
    path = f"{conf}/languages/python3.conf"
    text, count = re.subn(r"^more_root = \[\];", f'more_root = ["{marks.dir}"];', instance.read(path), flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"{path}: no more_root")
    # One set of imports: the others cost three services on one host much time at their start.
    text, count = re.subn(r"^warm = \(.*?^\);", WARM, text, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        sys.exit(f"{path}: no warm")
    instance.write(path, text)
    return node, space


def start_node(node, address):
    why = node.start("--listen", address, "--listen", "127.0.0.1")
    if why:
        sys.exit(why)


class Balancer:
    """nginx with contrib/nginx/balancer.conf, whose log is in a directory of ours."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cellblock-balancer-")
        os.chmod(self.dir, 0o755)
        paths = "\n".join(f"{name}_temp_path {self.dir}/{name};" for name in TEMPORARY)
        instance.write(f"{self.dir}/nginx.conf", NGINX.format(self.dir, paths))
        self.configure()
        self.process = subprocess.Popen(["nginx", "-c", f"{self.dir}/nginx.conf", "-g", "daemon off;"], stdin=subprocess.DEVNULL)

    def configure(self, down=None):
        text = instance.read(BALANCER).replace("/var/log/nginx/cellblock.log", f"{self.dir}/access.log")
        if down:
            text = re.sub(rf"(server {re.escape(down)}:{PORT}) [^;]*;", r"\1 down;", text)
        instance.write(f"{self.dir}/balancer.conf", text)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


# ---- the load ----

class Load:
    def __init__(self, key, marks):
        self.key, self.marks, self.seen, self.ends, self.number = key, marks, [], False, 0

    async def client(self):
        client = Client(FRONT_PORT)
        while not self.ends:
            self.number += 1
            number = self.number % faults.MARKS
            code = f"open('{self.marks.dir}/{number}').close()\nimport time\ntime.sleep(0.1)\nprint({number})"
            self.marks.counts[number] = 0
            began = time.monotonic()
            answer = await client.run(self.key, {"language": "python3", "code": code}, REQUEST_S)
            ended = time.monotonic()
            self.marks.read()
            kind = faults.kind_of(answer, f"{number}\n")
            node = answer.headers.get("x-cellblock-node", "") if answer else ""
            text = "" if kind == "ok" or answer is None else f"{answer.status} {answer.json}"[:200]
            self.seen.append(Seen(began, ended, kind, number, node, text))
            if kind != "ok":
                await asyncio.sleep(0.05)
        client.close()


async def serves(port, seconds):
    """Wait until the balancer answers a health check by a node."""
    client, end = Client(port), time.monotonic() + seconds
    while time.monotonic() < end:
        answer = await client.send("GET", "/readyz", limit=5)
        if answer and answer.status == 200:
            client.close()
            return
        await asyncio.sleep(0.1)
    sys.exit("the balancer does not serve")


COLUMNS = ("ok", "refused", "lost", "broken", "fault", "other", "killed", "wrong")


def row(name, seen, marks, took_s):
    """Print a row. Returns the number of answers that must not be."""
    counts = collections.Counter(one.kind for one in seen)
    nodes = collections.Counter(one.node for one in seen if one.kind == "ok")
    twice = [one for one in seen if marks.counts[one.number] > 1]
    again = [one for one in seen if one.kind == "refused" and marks.counts[one.number]]
    nameless = nodes[""]
    slow = [one.ended - one.began for one in seen if one.kind == "ok"]
    print(f"| {name} | " + " | ".join(str(counts[kind]) for kind in COLUMNS) + " | " + " / ".join(str(nodes[node]) for node in NODES) +
          f" | {len(twice)} | {len(again)} | {' | '.join(f'{percentile(slow, percent):.2f}' if slow else '-' for percent in (50, 99, 100))} | "
          f"{took_s:.1f} |", flush=True)
    for text, count in collections.Counter(re.sub(r"request \w+|id \w+", "request ID", one.text) for one in seen if one.text).most_common(4):
        print(f"  {count} x {text}", file=sys.stderr, flush=True)
    return len(twice) + len(again) + nameless + counts["wrong"] + counts["fault"] + counts["other"]


async def events(options, nodes, balancer, load):
    """Carry out each event under load. Returns the number of answers that must not be."""
    async def drained(name, is_planned):
        node, _ = nodes[name]
        if is_planned:
            balancer.configure(down=NODES[name])
            balancer.reload()
        await asyncio.to_thread(node.server, "--stop")

    async def started(name):
        await asyncio.to_thread(start_node, nodes[name][0], NODES[name])
        balancer.configure()
        balancer.reload()

    async def killed(name):
        nodes[name][1].kill()

    async def cut(name):
        link = f"node{list(NODES).index(name) + 1}"
        run("ip", "link", "set", link, "down")
        await asyncio.sleep(options.seconds)
        run("ip", "link", "set", link, "up")

    every = (("nothing", lambda: asyncio.sleep(0)),
             ("node-2 is taken out of balancer.conf, then stopped", lambda: drained("node-2", True)),
             ("node-2 is started, and put in again", lambda: started("node-2")),
             ("node-2 is stopped, without a word to the balancer", lambda: drained("node-2", False)),
             ("node-2 is started", lambda: started("node-2")),
             ("node-3 is killed: every process of it at once", lambda: killed("node-3")),
             ("node-3 is started", lambda: started("node-3")),
             (f"node-3 cannot be reached for {options.seconds:g} s", lambda: cut("node-3")))
    print(f"| event | {' | '.join(COLUMNS)} | by node | carried out twice | 503 though begun | p50 s | p99 s | slowest s | took s |")
    print("|" + "---|" * (len(COLUMNS) + 8))
    bad = 0
    for name, event in every:
        if not re.search(options.only, name):
            continue
        first, began = len(load.seen), time.monotonic()
        await event()
        took = time.monotonic() - began
        await asyncio.sleep(options.seconds)
        bad += row(name, load.seen[first:], load.marks, took)
    return bad


async def measure(options, nodes, balancer, load):
    await serves(FRONT_PORT, HEALTHY_S)
    clients = [asyncio.create_task(load.client()) for _ in range(options.clients)]
    bad = await events(options, nodes, balancer, load)
    load.ends = True
    await asyncio.gather(*clients)
    # Runs that were carried out a second time after their answer.
    await asyncio.sleep(1)
    load.marks.read()
    late = [one for one in load.seen[-faults.MARKS + options.clients:] if load.marks.counts[one.number] > 1]
    print(f"{len(load.seen)} requests; of the last, {len(late)} were carried out twice", file=sys.stderr)
    return bad + len(late)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--seconds", type=float, default=5, help="how long an event is watched")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--only", default="", help="a pattern: these events")
    options = parser.parse_args()
    enter()
    os.environ["CELLBLOCK_API_KEY"] = key = "key-of-the-three-hosts"
    os.environ.setdefault("CELLBLOCK_START_SECONDS", str(START_S))
    instance.exit_on_signals()
    marks, nodes, balancer, bad = Marks(), {}, None, 1
    try:
        for number, (name, address) in enumerate(NODES.items(), 1):
            nodes[name] = make_node(options.prefix, number, address, marks)
        for name, (node, _) in nodes.items():
            start_node(node, NODES[name])
        balancer = Balancer()
        bad = asyncio.run(measure(options, nodes, balancer, Load(key, marks)))
    finally:
        instance.ignore_signals()
        if balancer:
            balancer.stop()
        for node, space in nodes.values():
            node.stop()
            space.close()
        marks.remove()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

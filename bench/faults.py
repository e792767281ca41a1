"""faults.py - what clients see of faults: each alone, and then all of them at random.

usage: faults.py [--prefix PREFIX] [--minutes N] [--only PATTERN] [--seed N]

Eight clients send short runs all the time. The table has a row for each fault: the answers while it lasted and until
two seconds without a bad one had passed, how long bad answers came, what was lost, and when the service was healthy
again. After that, faults come at random for --minutes.

Each program opens a file of the host that only its run opens, and inotify tells which did. So the table knows of each
answer whether its run had begun: one that had must not be answered 503, because a client sends that again.

It ends with status 1 if an answer was wrong, or a run that had begun was answered 503.
"""
import argparse
import asyncio
import collections
import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import instance
from http_client import Client, percentile

CLIENTS = 8
MARKS = 4096
HOLD_S = 5  # for which a fault lasts that does not end by itself
IN_OPEN = 0x20
MAKING = "accept4,socket,socketpair,pipe2,memfd_create,openat,dup"  # the calls that make descriptors
DISK_MIB = 256


class Marks:
    """Files that programs open, and the times at which they did."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cellblock-marks-", dir="/var/tmp")  # a cell has a /tmp of its own
        os.chmod(self.dir, 0o755)
        for number in range(MARKS):
            instance.write(f"{self.dir}/{number}", "")
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, self.dir.encode(), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.opened = {}

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                events = os.read(self.fd, 65536)
                while events:
                    size = struct.unpack_from("iIII", events)[3]
                    name = events[16:16 + size].rstrip(b"\0").decode()
                    if name:
                        self.opened_file(int(name))
                    events = events[16 + size:]

    def opened_file(self, number):
        self.opened[number] = time.monotonic()

    def begun(self, number, since):
        self.read()
        return self.opened.get(number, 0) >= since

    def remove(self):
        os.close(self.fd)
        shutil.rmtree(self.dir)


# kind: ok, wrong, lost (500), refused (503), fault (another 500), broken (no answer), other
Seen = collections.namedtuple("Seen", "began ended kind begun language text")


def kind_of(answer, expected):
    if answer is None:
        return "broken"
    if answer.status == 200:
        fine = answer.data.get("status") == "ok" and answer.data.get("stdout") == expected
        # the guest was killed from outside, by us or for want of memory
        return "ok" if fine else "killed" if answer.data.get("status") in ("signal", "memory_limit") else "wrong"
    if not answer.is_envelope():
        return "wrong"
    if answer.status == 503:
        return "refused"
    if answer.status == 500:
        return "lost" if answer.json["message"].startswith("lost") else "fault"
    return "other"


class Load:
    def __init__(self, service, marks, own):
        self.service, self.marks, self.own, self.seen, self.ends = service, marks, own, [], False
        self.number = 0

    async def client(self, language):
        client = Client(self.service.port)
        while not self.ends:
            self.number += 1
            number = self.number % MARKS
            path = f"{self.marks.dir}/{number}"
            code = (f"open('{path}').close()\nimport time\ntime.sleep(0.1)\nprint({number})" if language == "python3" else
                    f": < {path}; echo {number}")
            began = time.monotonic()
            answer = await client.run(self.service.key, {"language": language, "code": code}, 60)
            ended = time.monotonic()
            kind = kind_of(answer, f"{number}\n")
            self.seen.append(Seen(began, ended, kind, self.marks.begun(number, began), language,
                                  "" if kind == "ok" or answer is None else f"{answer.status} {answer.json}"[:200]))
            if kind != "ok":
                await asyncio.sleep(0.05)
        client.close()

    async def calm(self, seconds, limit):
        """Wait until no answer of a Python program was bad for some seconds. Returns whether it came to that."""
        began = time.monotonic()
        while time.monotonic() < began + limit:
            await asyncio.sleep(0.2)
            if time.monotonic() < began + seconds:
                continue
            now = time.monotonic()
            late = [seen for seen in self.seen if seen.ended > now - seconds and seen.language == "python3"]
            if late and all(seen.kind == "ok" for seen in late):
                return True
        return False


# --- faults ----------------------------------------------------------------------------------------------------------

class Why(Exception):
    """The fault cannot be had here."""


def processes_of(service, who):
    """The processes of a kind; "nginx master", "runner parent" and the like are one each."""
    every = [process for process in service.processes() if process.kind() != "supervisord"]
    if who == "nginx master":
        return [process for process in every if process.name == "nginx" and process.parent == service.supervisord]
    if who == "nginx":
        return [process for process in every if process.name == "nginx" and process.parent != service.supervisord]
    if who.endswith(" parent"):
        return [process for process in every if process.name == who]
    return [process for process in every if process.kind() == who]


def victims(service, who):
    """The pids of one process of a kind, or of "every" one."""
    found = [process.pid for process in processes_of(service, who.removeprefix("every "))]
    if not found:
        raise Why(f"there is no {who}")
    return found if who.startswith("every ") else [random.choice(found)]


def send_signal(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextlib.contextmanager
def killed(service, who):
    send_signal(victims(service, who), signal.SIGKILL)
    yield 0


@contextlib.contextmanager
def stopped(service, who):
    pids = victims(service, who)
    send_signal(pids, signal.SIGSTOP)
    try:
        yield HOLD_S
    finally:
        send_signal(pids, signal.SIGCONT)


@contextlib.contextmanager
def disk_full(service):
    """Nothing can be written below the instance's directory: logs, nginx's long bodies."""
    path = f"{service.dir}/filler"
    try:
        with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536) if shutil.disk_usage(service.dir).free >= 65536 else b"\0")
        yield HOLD_S
    finally:
        os.unlink(path)


@contextlib.contextmanager
def limited(path, *values):
    """Write the first value that the kernel takes."""
    before = instance.read(path).strip()
    for value in values:
        try:
            instance.write(path, str(value))
            break
        except OSError:  # so much cannot be taken back from the processes
            pass
    else:
        raise Why(f"the kernel takes no limit of {values} in {path}")
    try:
        yield HOLD_S
    finally:
        instance.write(path, before)


def group_file(service, controller, name):
    for group in service.more_groups:
        if f"/{controller}/" in group:
            return f"{group}/{name}"
    raise Why(f"no control group of version 1 for {controller}")


def no_fork(service):
    return limited(group_file(service, "pids", "pids.max"), 1)


def no_memory(service):
    """About what the processes have, and no more: the kernel kills for each further page."""
    path = group_file(service, "memory", "memory.limit_in_bytes")
    used = int(instance.read(os.path.dirname(path) + "/memory.usage_in_bytes"))
    return limited(path, *(int(used * share) for share in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)))


@contextlib.contextmanager
def no_descriptors(service, who):
    """strace refuses the calls that make descriptors: a limit could not be lowered for what has other ids."""
    if not shutil.which("strace"):
        raise Why("there is no strace")
    arguments = [argument for pid in victims(service, f"every {who}") for argument in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={MAKING}", "-e",
                               f"inject={MAKING}:error=EMFILE", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield HOLD_S
    finally:
        tracer.terminate()
        tracer.wait()


@contextlib.contextmanager
def moved(path, seconds=HOLD_S):
    os.rename(path, f"{path}.away")
    try:
        yield seconds
    finally:
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.rename(f"{path}.away", path)


@contextlib.contextmanager
def nginx_reloaded(service):
    send_signal(victims(service, "nginx master"), signal.SIGHUP)
    yield 0


@contextlib.contextmanager
def reloaded(service):
    for who in ("runner parent", "worker parent"):
        send_signal(victims(service, who), signal.SIGHUP)
    yield 0


def faults(service, own):
    every = {}
    for who in ("nginx", "nginx master", "worker", "every worker", "worker parent", "status", "status parent", "svlogd", "runner parent",
                "door", "broker", "warden", "zygote", "every zygote", "guest", "every guest"):
        every[f"SIGKILL: {who}"] = lambda who=who: killed(service, who)
        every[f"SIGSTOP for {HOLD_S} s: {who}"] = lambda who=who: stopped(service, who)
    every["disk full"] = lambda: disk_full(service)
    every["fork refused"] = lambda: no_fork(service)
    every["memory short"] = lambda: no_memory(service)
    for who in ("nginx", "worker", "door", "broker", "warden"):
        every[f"no descriptors: {who}"] = lambda who=who: no_descriptors(service, who)
    every["interpreter away"] = lambda: moved(own, 3 * HOLD_S)  # it is missed after some seconds
    every["log directory away"] = lambda: moved(f"{service.dir}/service/log")
    every["nginx reloaded"] = lambda: nginx_reloaded(service)
    every["runner and workers reloaded"] = lambda: reloaded(service)
    return every


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = ("ok", "killed", "refused", "lost", "fault", "broken", "other", "wrong")


def row(name, seen, began, healthy):
    """Print a row. Returns the number of answers that must not be."""
    counts = collections.Counter(one.kind for one in seen)
    bad = [one for one in seen if one.kind != "ok" and one.language == "python3"]
    again = [one for one in seen if one.kind == "refused" and one.begun]
    slow = percentile([one.ended - one.began for one in seen if one.kind == "ok"], 100)
    lasted = f"{max(one.ended for one in bad) - min(one.ended for one in bad):.1f}" if bad else "-"
    print(f"| {name} | " + " | ".join(str(counts[kind] or "") for kind in COLUMNS) +
          f" | {len(again)} | {lasted} | {slow or 0:.1f} | {'never' if healthy is None else f'{max(0, healthy - began):.1f}'} |",
          flush=True)
    for text, count in collections.Counter(re.sub(r"request \w+", "request ID", one.text) for one in seen if
                                           one.kind in ("wrong", "other", "fault") or one in again).most_common(4):
        print(f"  {count} x {text}", file=sys.stderr, flush=True)
    return len(again) + counts["wrong"]


async def health(service, limit):
    client, until = Client(service.port), time.monotonic() + limit
    while time.monotonic() < until:
        answer = await client.send("GET", "/health", limit=5)
        if answer and answer.status == 200:
            client.close()
            return time.monotonic()
        await asyncio.sleep(0.1)
    return None


async def carry_out(make):
    """A fault, from its begin to its end. In a thread: meanwhile the clients go on, so that it meets runs in flight."""
    fault = await asyncio.to_thread(make)
    seconds = await asyncio.to_thread(fault.__enter__)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(fault.__exit__, None, None, None)


async def suffer(load, name, make):
    """Carry out one fault. Returns the number of answers that must not be."""
    began = time.monotonic()
    first = len(load.seen)
    try:
        await carry_out(make)
    except Why as why:
        print(f"| {name} | not tried: {why} |", flush=True)
        return 0
    await asyncio.sleep(0.5)
    healthy = await health(load.service, 60)
    await load.calm(2, 60)
    return row(name, load.seen[first:], began, healthy)


async def measure(service, marks, own, options):
    load = Load(service, marks, own)
    clients = [asyncio.create_task(load.client("python3")) for _ in range(CLIENTS - 1)]
    clients.append(asyncio.create_task(load.client("own")))
    every = {name: make for name, make in faults(service, own).items() if re.search(options.only, name)}
    print("| fault | " + " | ".join(COLUMNS) + " | 503 though begun | bad for s | slowest ok s | healthy after s |")
    print("|" + "---|" * (len(COLUMNS) + 5))
    await load.calm(2, 30)
    bad = await suffer(load, "none", lambda: contextlib.nullcontext(3))
    for name, make in every.items():
        bad += await suffer(load, name, make)
    began, first, count = time.monotonic(), len(load.seen), 0
    while time.monotonic() < began + options.minutes * 60:
        count += 1
        name = random.choice(list(every))
        print(f"  {time.monotonic() - began:.0f} s: {name}", file=sys.stderr, flush=True)
        with contextlib.suppress(Why, ProcessLookupError):
            await carry_out(every[name])
        await asyncio.sleep(random.random() * 5)
    if count:
        ended = time.monotonic()
        healthy = await health(service, 60)
        await load.calm(2, 60)
        bad += row(f"{count} at random, {options.minutes} min", load.seen[first:], ended, healthy)
    load.ends = True
    await asyncio.gather(*clients)
    return bad


def make_groups():
    """Groups of version 1 that bound all processes of the service."""
    found = []
    for line in instance.read("/proc/self/mounts").splitlines():
        path, kind, options = line.split()[1:4]
        if kind == "cgroup" and {"pids", "memory"} & set(options.split(",")):
            with contextlib.suppress(OSError):
                found.append(tempfile.mkdtemp(prefix="cellblock-bench-", dir=path))
                if os.path.exists(f"{found[-1]}/memory.use_hierarchy"):
                    with contextlib.suppress(OSError):
                        instance.write(f"{found[-1]}/memory.use_hierarchy", "1")
    return found


OWN = """name = "own";
main_file = "main.sh";
start = "cold";
run = ["{0}", "main.sh"];
version = ["{0}", "--version"];
root = ["/bin", "/lib", "?/lib64", "/usr/bin", "/usr/lib", "{1}"];
policy = "program";
armed = 1;
"""


def prepare(service, marks, own):
    """What the faults need: the marks in the cells, and a language whose interpreter is a copy."""
    path = f"{service.dir}/service/conf/languages/python3.conf"
    text, count = re.subn(r"^more_root = \[\];", f'more_root = ["{marks.dir}"];', instance.read(path), flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"{path}: no more_root")
    instance.write(path, text)
    shutil.copy("/bin/bash", own)
    instance.write(f"{service.dir}/service/conf/languages/own.conf", OWN.format(own, marks.dir))
    service.reload()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", help="serve the programs that are installed there")
    parser.add_argument("--minutes", type=float, default=10, help="of faults at random")
    parser.add_argument("--only", default="", help="a pattern: these faults")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    random.seed(options.seed)
    # A file system of its own, which can be full.
    tempfile.tempdir = tempfile.mkdtemp(prefix="cellblock-disk-")
    os.chmod(tempfile.tempdir, 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=755", "cellblock-disk", tempfile.tempdir], check=True)
    service, marks = instance.Instance(options.prefix), Marks()
    own_dir = tempfile.mkdtemp(prefix="cellblock-own-", dir="/var/tmp")
    os.chmod(own_dir, 0o755)
    service.more_groups = make_groups()
    enter = service.group.enter

    def enter_all():
        enter()
        for group in service.more_groups:
            instance.write(f"{group}/cgroup.procs", "0")
    service.group.enter = enter_all
    bad = 1
    instance.exit_on_signals()
    try:
        why = service.start()
        if why:
            sys.exit(why)
        prepare(service, marks, f"{own_dir}/own-sh")
        bad = asyncio.run(measure(service, marks, f"{own_dir}/own-sh", options))
    finally:
        instance.ignore_signals()
        shutil.copytree(f"{service.dir}/service/log", "/tmp/cellblock-faults-log", dirs_exist_ok=True)
        service.stop()
        for group in service.more_groups:
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
        marks.remove()
        shutil.rmtree(own_dir)
        subprocess.run(["umount", tempfile.tempdir], check=False)
        os.rmdir(tempfile.tempdir)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

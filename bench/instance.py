"""instance.py - a service for the benchmark, and the resources that its processes use.

script/server starts it in a new directory, on free ports, in a control group of its own if one can be made. A stop
leaves nothing behind. Its processes are the descendants of its supervisord.
"""
import contextlib
import ctypes
import hashlib
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272}.get(platform.machine())  # the number of the system call
KCMP_VM = 1
# the short names of the runner's own processes, at their start and by their titles
RUNNER_NAMES = ("cellblock-run", "door", "guard", "relay", "broker", "warden", "reaper")
KINDS = ("supervisord", "nginx", "parent", "worker", "status", "svlogd", "door", "broker", "warden", "zygote", "guest")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def configured(conf, key):
    """A string of a configuration file."""
    found = re.search(rf'^\s*{key}\s*=\s*"([^"]*)"', conf, re.MULTILINE)
    return found[1] if found else None


def configured_interpreter(directory):
    """The interpreter of Python programs, and the imports of its first warm set."""
    conf = read(f"{directory}/languages/python3.conf")
    imports = re.search(r"^\s*imports\s*=\s*\[([^]]*)\]", conf, re.MULTILINE)
    return configured(conf, "interpreter") or "/usr/bin/python3", re.findall(r'"([^"]+)"', imports[1] if imports else "")


def configured_program(directory, language):
    """The interpreter of another language, or None."""
    return configured(read(f"{directory}/languages/{language}.conf"), "interpreter")


def configured_languages(directory):
    """The names of all, in the runner's order."""
    return sorted(configured(read(f"{directory}/languages/{file}"), "name") or "" for file in
                  os.listdir(f"{directory}/languages") if file.endswith(".conf"))


def free_ports():
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Group:
    """A control group that counts CPU time."""

    def __init__(self):
        self.path = self.inside = None  # the group that counts, and the one in which processes start
        self.why_not = ""
        mounts = [line.split()[1:4] for line in read("/proc/self/mounts").splitlines()]
        version_1 = [path for path, kind, options in mounts if kind == "cgroup" and "cpuacct" in options.split(",")]
        version_2 = [path for path, kind, _ in mounts if kind == "cgroup2" and "cpu" in
                     read(f"{path}/cgroup.controllers").split()]
        self.version = 2 if version_2 else 1
        if not version_1 and not version_2:
            self.why_not = "no control group hierarchy counts CPU time"
            return
        try:
            self.path = self.inside = tempfile.mkdtemp(prefix="cellblock-bench-", dir=(version_2 or version_1)[0])
            if self.version == 2:
                # the runner makes its cells' groups beside its own group, and so below ours
                self.inside = f"{self.path}/services"
                os.mkdir(self.inside)
        except OSError as error:
            self.remove()
            self.why_not = str(error)

    def enter(self):
        if self.inside:
            write(f"{self.inside}/cgroup.procs", "0")

    def holds(self, pids):
        name = os.path.basename(self.path or "")
        return bool(name) and all(f"/{name}" in read(f"/proc/{pid}/cgroup") for pid in pids)

    def cpu_ms(self):
        if self.version == 1:
            return int(read(f"{self.path}/cpuacct.usage")) / 1e6
        return int(re.search(r"usage_usec (\d+)", read(f"{self.path}/cpu.stat"))[1]) / 1e3

    def remove(self):
        for directory, _, _ in os.walk(self.path, topdown=False) if self.path else ():
            for _ in range(50):
                try:
                    os.rmdir(directory)
                    break
                except OSError:
                    time.sleep(0.02)
        self.path = self.inside = None


class Process:
    """One process, from /proc."""

    def __init__(self, pid):
        self.pid = pid
        stat = read(f"/proc/{pid}/stat")
        if not stat:
            raise ProcessLookupError(pid)
        self.name = stat[stat.index("(") + 1:stat.rindex(")")]
        field = stat[stat.rindex(")") + 2:].split()
        self.parent = int(field[1])
        self.children_faults = int(field[8]) + int(field[10])
        self.cpu_ms = TICK_MS * (int(field[11]) + int(field[12]))
        self.children_cpu_ms = TICK_MS * (int(field[13]) + int(field[14]))

    def kind(self):
        """One of KINDS. The pid namespaces of a process tell the runner's processes apart."""
        if self.name in ("supervisord", "nginx", "status", "svlogd"):
            return self.name
        if self.name == "cellblock-fcgi":
            return "worker"
        if self.name.endswith(" parent"):
            return "parent"
        found = re.search(r"^NSpid:\s*(.*)", read(f"/proc/{self.pid}/status"), re.MULTILINE)
        inner = found[1].split()[1:] if found else []
        if self.name.startswith(RUNNER_NAMES):
            return "door" if not inner else "broker" if inner == ["1"] else "warden"
        return "zygote" if len(inner) == 1 else "guest" if len(inner) == 2 else self.name

    def shares_memory_with(self, other):
        libc = ctypes.CDLL(None)
        return KCMP is not None and libc.syscall(KCMP, self.pid, other, KCMP_VM, 0, 0) == 0

    def memory_kb(self):
        """(proportional, private)"""
        rollup = read(f"/proc/{self.pid}/smaps_rollup")
        count = {key: int(kb) for key, kb in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.MULTILINE)}
        return count.get("Pss", 0), count.get("Private_Clean", 0) + count.get("Private_Dirty", 0)


class Instance:
    def __init__(self, prefix):
        self.dir = tempfile.mkdtemp(prefix="cellblock-bench-")
        os.chmod(self.dir, 0o755)  # nginx and the workers run as other users
        self.prefix = prefix
        self.port, self.tls_port = free_ports()
        self.group = Group()
        self.inside = []  # a command that takes script/server as its argument

    def server(self, *arguments):
        # --stop runs in the group, too: it removes the groups below its own
        return subprocess.run([*self.inside, f"{ROOT}/script/server", "--dir", f"{self.dir}/service", *arguments],
                              preexec_fn=self.group.enter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)

    def start(self, *arguments):
        """None, or the reason why it does not serve."""
        done = self.server("--detach", "--port", str(self.port), "--tls-port", str(self.tls_port), "--rate", "1000000",
                           "--connections", "60000", *(["--prefix", self.prefix] if self.prefix else []), *arguments)
        if done.returncode != 0:
            return " ".join(done.stdout.split())[-300:] or f"script/server: exit status {done.returncode}"
        self.key = read(f"{self.dir}/service/api_key").strip()
        self.supervisord = int(read(f"{self.dir}/service/supervisord.pid"))
        self.conf = os.path.realpath(f"{self.dir}/service/live/conf")
        self.socket = configured(read(f"{self.conf}/cellblock.conf"), "socket")
        self.worker_user = configured(read(f"{self.conf}/cellblock.conf"), "worker_user")
        if self.group.path and not self.group.holds([process.pid for process in self.processes()]):
            self.group.why_not = "the instance is not in the control group that was made for it"
        return None

    def add_key(self, name, **settings):
        """Make a key with these settings of its file. It is known after the next reload. Returns the key."""
        key = secrets.token_urlsafe(32)
        text = f'sha256 = "{hashlib.sha256(key.encode()).hexdigest()}";\n'
        text += "".join(f"{setting} = {value};\n" for setting, value in settings.items())
        write(f"{self.dir}/service/conf/keys/{name}.conf", text)
        return key

    def configure(self, key, value):
        """Change a number in cellblock.conf. It is in force after the next reload."""
        path = f"{self.dir}/service/conf/cellblock.conf"
        text, count = re.subn(rf"^(\s*){key} = \d+;", rf"\g<1>{key} = {value};", read(path), flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"{path}: {key} is there {count} times")
        write(path, text)

    def have_proxy(self):
        """Give runs a network by a proxy, which nobody has to serve. It is in force after the next reload."""
        path = f"{self.dir}/service/conf/cellblock.conf"
        proxy = 'mode = "proxy"; proxies = ( { name = "all"; address = "127.0.0.1:3128"; } );'
        text, count = re.subn(r'^(\s*)mode = "none";', rf"\g<1>{proxy}", read(path), flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"{path}: network.mode is there {count} times")
        write(path, text)

    def reload(self):
        done = self.server("--reload")
        if done.returncode != 0:
            raise RuntimeError(f"script/server --reload: {done.stdout}")

    def stop(self):
        if os.path.exists(f"{self.dir}/service/.instance"):
            done = self.server("--stop")
            if done.returncode != 0:
                print(f"script/server --stop: {done.stdout}")
        self.group.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    def language_index(self, name):
        """The index of a language in the configuration, which is sorted."""
        return configured_languages(self.conf).index(name)

    def processes(self):
        every, children = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                process = Process(int(pid))
            except (ProcessLookupError, ValueError, IndexError):
                continue
            every[process.pid] = process
            children.setdefault(process.parent, []).append(process)
        if self.supervisord not in every:
            raise RuntimeError("supervisord has ended, and so has the service")
        found = [every[self.supervisord]]
        for process in found:
            found.extend(children.get(process.pid, ()))
        return found

    def cpu(self):
        """CPU time so far, in ms, by kind of process; "all" is from the control group if there is one."""
        used = dict.fromkeys(KINDS, 0.0)
        faults = 0
        for process in self.processes():
            kind = process.kind()
            if kind != "guest":
                used[kind] = used.get(kind, 0) + process.cpu_ms
            if kind == "broker":  # the parent of all guests
                used["guest"] += process.children_cpu_ms
                faults += process.children_faults
        used["all"] = sum(used.values()) if self.group.why_not else self.group.cpu_ms()
        used["guest_faults"] = faults
        return used

    def cpu_how(self):
        if self.group.why_not:
            return f"/proc ({self.group.why_not})"
        return f"control group version {self.group.version}, split by /proc"

    def memory(self):
        """By kind of process, and for "all": the (proportional, private) kB of each."""
        used = {}
        for process in self.processes():
            kind = process.kind()
            if kind == "warden" and process.shares_memory_with(process.parent):
                continue  # an init shares the warden's memory, which must be counted once
            sizes = process.memory_kb()
            for name in (kind, "all"):
                used.setdefault(name, []).append(sizes)
        return used


def exit_on_signals():
    """Have a signal end the program as an exception does, so that what it made is removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def serving(prefix):
    """An Instance that serves. It is stopped at the end, also when a signal ends the program. Exits if it cannot start."""
    exit_on_signals()
    service = Instance(prefix)
    try:
        why = service.start()
        if why:
            sys.exit(why)
        yield service
    finally:
        ignore_signals()
        service.stop()

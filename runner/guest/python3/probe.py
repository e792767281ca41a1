"""Find the files that an interpreter needs. Run as `python3 -I probe.py`; prints one "word value" per line.

    version 3.11.2      of the interpreter
    bind /usr/lib/...   a directory or file that its programs need, for a read-only bind mount

It runs in the environment of the programs, so the locale is theirs.
"""
import os
import sys
import sysconfig
import warnings

warnings.simplefilter("ignore")  # programs may use deprecated modules
paths = set()


def add(path):
    if path and os.path.exists(path):
        paths.add(os.path.normpath(path))


def import_extensions(directory):
    """Import the C extensions of the standard library, to find the shared libraries that they need."""
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        module = name.partition(".")[0]
        if name.endswith(".so") and not module.startswith(("_test", "_xxtest", "xxlimited", "_ctypes_test", "_tkinter")):
            try:
                __import__(module)
            except Exception:
                pass  # it does not load in a cell either


def leads_to(directory, place):
    """Does a shared library in `directory` link to a path below `place`?"""
    with os.scandir(directory) as entries:
        links = [e.path for e in entries if ".so" in e.name and e.is_symlink()]
    return any(os.readlink(link).startswith(place + "/") for link in links)


print("version", sys.version.split()[0])
stdlib = sysconfig.get_paths()
for key in ("stdlib", "platstdlib", "purelib", "platlib"):
    add(stdlib.get(key))
for path in sys.path:
    add(path)
add(sys.executable)
add(os.path.realpath(sys.executable))
if sys.prefix != sys.base_prefix:
    add(os.path.join(sys.prefix, "pyvenv.cfg"))
import_extensions(sysconfig.get_config_var("DESTSHARED") or "")
with open("/proc/self/maps") as maps:
    for line in maps:
        path = "/" + line.rstrip("\n").partition("/")[2]
        if ".so" in path or "/locale/" in path:
            add(os.path.dirname(path))
        if "/ld-" in path:
            add(path)
# On Debian an administrator chooses between libraries (BLAS, for example) by links to links.
if any(os.path.isdir(path) and leads_to(path, "/etc/alternatives") for path in list(paths)):
    add("/etc/alternatives")
for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/etc/ld.so.cache"):
    add(path)
try:
    import zoneinfo

    for path in zoneinfo.TZPATH:
        add(path)
except ImportError:
    pass

# A directory brings all of its entries.
kept = []
for path in sorted(paths):
    if not any(path.startswith(parent + "/") for parent in kept):
        kept.append(path)
        print("bind", path)

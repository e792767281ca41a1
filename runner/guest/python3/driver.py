"""The parts of a zygote and its guests that are shorter in Python than in _cellblock.c.

The runner starts `python3 -q -i` with PYTHONSTARTUP naming this file. It runs in the interpreter's first __main__,
prepares, and leaves _cellblock.serve as the interactive hook, which the interpreter then calls with no Python frame
below it. No module that user code can import holds the names defined here: a guest gets a __main__ of its own.
"""
initial_main = {**globals(), "__doc__": None}  # the contents of a fresh __main__, in order
import sys

initial_modules = dict(sys.modules)  # and of a fresh sys.modules

import gc
import os

import _cellblock

HOME = "/box"
INSPECT, INTERACTIVE, QUIET = 1, 2, 10  # places in sys.flags, the same in every version

# A little of everything that a short program does first: the AST types, encodings, a class, an
# exception and its traceback, formatting. Guests inherit the results.
WARM_UP = '''
class Warm:
    def __init__(self, value):
        self.value = value
def warm(*args, **kwargs):
    return [f"{a!r:>4} {a:.2f}" for a in args], {k: str(v) for k, v in kwargs.items()}
try:
    with open("/nonexistent/file") as f:
        f.read()
except OSError as error:
    print(error, warm(1, 2.5, k=Warm("\\u00e9").value))
print(1, sorted({3: "a", 1: "b"}), "a,b".split(","), b"x".decode(), sum(i * i for i in range(9)))
'''


class State:
    """Facts of the start that a guest needs."""

    main_path = None
    module_count = 0
    time = None  # the module, if a fresh interpreter has imported it


def without_interactive_flags():
    values = list(sys.flags)
    values[INSPECT] = values[INTERACTIVE] = values[QUIET] = 0
    return _cellblock.plain_flags(sys.flags, values)


def new_main(path):
    """The __main__ of a program, as a fresh interpreter makes it for a script."""
    main = type(sys)("__main__")
    scope = vars(main)
    scope.clear()
    scope.update(initial_main)
    if "__annotations__" in scope:
        scope["__annotations__"] = {}
    scope["__loader__"] = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", path)
    scope["__file__"] = path
    scope["__cached__"] = None
    return main


def warm_up(driver):
    """Run the warm-up program as a guest runs its own. Discard the output."""
    log = os.dup(2)
    os.dup2(1, 2)
    sys.modules["__main__"] = main = new_main("warm")
    try:
        exec(compile(WARM_UP, "warm", "exec", dont_inherit=True), vars(main))
        exec(compile("1 / 0", "warm", "exec", dont_inherit=True), vars(main))
    except ZeroDivisionError:
        sys.excepthook(*sys.exc_info())
    if "linecache" in sys.modules:
        sys.modules["linecache"].cache.clear()  # from Python 3.13 on, a traceback reads lines of this file
    sys.stdout.flush()
    sys.modules["__main__"] = driver
    _cellblock.take_back()
    forget_modules()
    os.dup2(log, 2)
    os.close(log)


def prepare():
    """Do everything that a zygote does before it serves."""
    os.dup2(2, 1)  # imports print to the log
    for name in ("PYTHONSTARTUP", "LD_BIND_NOW", "LD_ORIGIN_PATH"):
        os.environ.pop(name, None)
    main_file, imports = _cellblock.load_setup()
    State.main_path = f"{HOME}/{main_file}"
    if os.getpid() == 2:
        # Every guest is pid 2 of its namespace. OpenSSL detects a fork by the changed pid.
        raise RuntimeError("a zygote must not be pid 2")
    sys.path[0] = HOME
    hook = getattr(sys, "__interactivehook__", None)
    sys.__interactivehook__ = _cellblock.serve
    sys.flags = without_interactive_flags()
    # Not by a handler in C alone: only between two steps of the program can its streams be flushed.
    sys.modules["_signal"].signal(_cellblock.LAST_WORDS, _cellblock.last_words)
    if imports:
        import shelf
    for name in set(sys.modules) - set(initial_modules):
        del sys.modules[name]
    if imports:
        shelf.fill(imports)
    State.module_count = len(sys.modules)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    driver = sys.modules["__main__"]
    State.time = sys.modules.get("time")
    warm_up(driver)
    for leftover in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(leftover, None)
    for path in ("", HOME):  # what the driver's directory holds
        sys.path_importer_cache.pop(path, None)
    sys.argv[:] = [main_file]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = ["python3", main_file]
    gc.collect()
    gc.freeze()
    # After the freeze: the collection at the program's end must find cycles with its globals.
    sys.modules["__main__"] = main = new_main(State.main_path)
    _cellblock.wall_in(driver, main, hook, gc)
    os.dup2(null, 2)
    os.close(null)


def begin_with(path):
    """Have the program begin with this file, as `python3 path` does in the working directory."""
    full = f"{HOME}/{path}"
    main = vars(sys.modules["__main__"])
    main["__file__"] = full
    main["__loader__"] = type(main["__loader__"])("__main__", full)
    sys.path[0] = os.path.dirname(full)
    sys.argv[0] = path
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[1] = path


def begin(preload, args, env, path):
    """Prepare a run with a preload, arguments, environment, or a main file of its own. Return the compiled preload."""
    if path is not None:
        begin_with(path)
    for entry in env:
        key, _, value = entry.partition("=")
        os.environ[key] = value
        if key == "TZ":
            # In the zygote libc and the time module have looked at the zone already.
            _cellblock.set_zone()
            if State.time is not None:
                State.time.tzset()
    sys.argv += args
    if hasattr(sys, "orig_argv"):
        sys.orig_argv += args
    return compile(preload, "<preload>", "exec", dont_inherit=True)


def plain_name(name):
    """Of a package: as pip compares names."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def installed_version(place):
    """Of the package whose metadata are at this path, which does not have it in its name."""
    for name in ("METADATA", "PKG-INFO", ""):
        try:
            with open(os.path.join(place, name) if name else place, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line.startswith("Version:"):
                        return line[8:].strip()
        except OSError:
            pass
    return ""


def installed_packages():
    """The names and versions of the packages that the program can import, with no import of their own."""
    found = {}
    for directory in sys.path[1:]:
        try:
            entries = os.listdir(directory)
        except OSError:
            continue
        for entry in sorted(entries):
            stem, _, suffix = entry.rpartition(".")
            if suffix not in ("dist-info", "egg-info"):
                continue
            name, _, version = stem.partition("-")
            if suffix == "egg-info":
                version = version.partition("-py")[0]
            # The first one on the path is the one that is imported.
            found.setdefault(plain_name(name), version or installed_version(os.path.join(directory, entry)))
    return found


def is_standard(name):
    """Old clients list modules of the standard library, too."""
    library = os.path.dirname(os.__file__)
    return (
        name in getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        or os.path.isfile(f"{library}/{name}.py")
        or os.path.isfile(f"{library}/{name}/__init__.py")
    )


def missing_need(needs):
    """The first of these packages, a name and a version or "" by turns, that is missing: a text; or None."""
    packages = installed_packages()
    for name, version in zip(needs[::2], needs[1::2]):
        installed = packages.get(plain_name(name))
        if installed is None and (version or not is_standard(name)):
            return f"{name} is not installed"
        if version and version != installed:
            return f"{name} {version} is not installed, but {installed} is"
    return None


def exit_status(error):
    """Print the message of an uncaught SystemExit. Return the exit status that it stands for."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    sys.stdout.flush()
    try:
        sys.stderr.write(str(code))
    except Exception:
        pass  # a fresh interpreter ignores it, too
    print(file=sys.stderr, flush=True)
    return 1


def forget_modules():
    """Drop the modules that the program has made. Those of the shelf cannot end: the zygote holds them, too."""
    for name in list(sys.modules)[State.module_count :]:
        if not _cellblock.is_shelved(name):
            del sys.modules[name]


try:
    prepare()
except BaseException as error:
    _cellblock.send_report(1, sys.version.split()[0], f"{type(error).__name__}: {error}"[:190])
    os._exit(1)
_cellblock.send_report(0, sys.version.split()[0], "")

"""What a zygote and its guests do that is easier said in Python than in _cellblock.c.

The runner starts `python3 -q -i` with PYTHONSTARTUP naming this file. It runs in the interpreter's first __main__,
prepares, and leaves _cellblock.serve as the interactive hook, which the interpreter then calls with no Python frame
below it. No module that user code can import holds the names defined here: a guest gets a __main__ of its own.
"""
initial_main = dict(globals())  # what a fresh __main__ holds, in its order

import gc
import os
import sys

import _cellblock

HOME = "/box"
INSPECT, INTERACTIVE, QUIET = 1, 2, 10  # places in sys.flags, the same in every version

# A little of everything that a short program does first, so that guests find it done: the AST types, encodings,
# a class, an exception and its traceback, formatting.
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
    """What arm, begin and end must know of the start."""

    main_path = None
    modules = ()
    hook = None


def without_interactive_flags():
    values = list(sys.flags)
    values[INSPECT] = values[INTERACTIVE] = values[QUIET] = 0
    return _cellblock.plain_flags(sys.flags, values)


def warm_up():
    """Run the warm-up program through the steps of a real run, its output thrown away."""
    for code, scope in begin(WARM_UP.encode(), b"", ["x"], []):
        try:
            exec(code, scope)
            raise ValueError("warm")
        except ValueError:
            sys.excepthook(*sys.exc_info())
    sys.stdout.flush()


def prepare():
    """All that a zygote does before it serves."""
    os.dup2(2, 1)  # what an import prints belongs in the log
    del sys.modules["_cellblock"]
    main_file, imports = _cellblock.load_setup()
    State.main_path = f"{HOME}/{main_file}"
    if os.getpid() == 2:
        # Every guest is pid 2 of its namespace, and OpenSSL knows a fork by its changed pid.
        raise RuntimeError("a zygote must not be pid 2")
    sys.path[0] = HOME
    for name in imports:
        __import__(name)
    del os.environ["PYTHONSTARTUP"]
    State.hook = getattr(sys, "__interactivehook__", None)
    sys.__interactivehook__ = _cellblock.serve
    sys.flags = without_interactive_flags()
    driver = sys.modules["__main__"]
    log = os.dup(2)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    try:
        warm_up()
    finally:
        os.dup2(log, 2)
        os.close(log)
        sys.modules["__main__"] = driver
    os.dup2(null, 2)
    os.close(null)
    for leftover in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(leftover, None)
    sys.path_importer_cache.clear()
    State.modules = frozenset(sys.modules)
    gc.collect()
    gc.freeze()
    gc.disable()
    _cellblock.wall_in(driver)


def arm():
    """In a guest, before it has its code: what must differ between runs, and what would else be slow later."""
    sys.__interactivehook__ = State.hook
    if State.hook is None:
        del sys.__interactivehook__
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    if "_ssl" in sys.modules:
        sys.modules["_ssl"].RAND_add(os.urandom(32), 32.0)
    gc.enable()


def begin(code, preload, args, env):
    """Set the stage; return [(code object, globals), ...] to run in turn. Raises what compile() raises."""
    path = State.main_path
    name = path.rpartition("/")[2]
    for entry in env:
        key, _, value = entry.partition("=")
        os.environ[key] = value
    sys.argv[:] = [name, *args]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = ["python3", *sys.argv]
    main = type(sys)("__main__")
    scope = vars(main)
    scope.clear()
    scope.update(initial_main)
    if "__annotations__" in scope:
        scope["__annotations__"] = {}
    scope["__loader__"] = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", path)
    scope["__file__"] = path
    scope["__cached__"] = None
    sys.modules["__main__"] = main
    steps = []
    try:
        if preload:
            steps.append((compile(preload, "<preload>", "exec", dont_inherit=True), scope))
        steps.append((compile(code, path, "exec", dont_inherit=True), scope))
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise error.with_traceback(None)
    return steps


def exit_status(error):
    """The exit status that an uncaught SystemExit stands for, after printing what it has to say."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF
    sys.stdout.flush()
    print(code, file=sys.stderr, flush=True)
    return 1


def end(status):
    """What an interpreter does at its end, as far as a program can tell; return the exit status."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        atexit._run_exitfuncs()
    flush()
    # The program's globals go, and with them what only they held; what hung in cycles is collected. The modules
    # that were there before the program are left alone: they have nothing to finalize.
    for name in [name for name in sys.modules if name not in State.modules or name == "__main__"]:
        del sys.modules[name]
    gc.collect()
    return status if flush() else 120


def flush():
    good = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:
            good = False
    return good


try:
    prepare()
except BaseException as error:
    _cellblock.send_report(1, sys.version.split()[0], f"{type(error).__name__}: {error}"[:190])
    os._exit(1)
_cellblock.send_report(0, sys.version.split()[0], "")

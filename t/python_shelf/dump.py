# Print all that a program can see of the modules that it has imported, a fact a line.
def dump():
    import sys

    def simple(value):
        if isinstance(value, str) and len(value) > 60:
            return f"str of {len(value)}"
        if isinstance(value, (bool, int, float, str, bytes, type(None))):
            return repr(value)
        if type(value) in (tuple, list, dict, set, frozenset):
            return f"{type(value).__name__} of {len(value)}"
        if type(value) is type(sys):
            return "module " + value.__name__
        return type(value).__name__

    modules = sys.modules
    # The lists of sys hold what importlib made on the way.
    print("order", *modules)
    for name, module in list(modules.items()):
        if module is modules["__main__"] or not hasattr(module, "__dict__"):
            continue
        for key in sorted(map(str, vars(module))):
            print(name, key, simple(vars(module)[key]))
    warnings = modules.get("_warnings")
    print("filters", *warnings.filters, sep="\n  ")
    if "atexit" in modules:
        print("atexit", modules["atexit"]._ncallbacks())
    if "threading" in modules:
        threading = modules["threading"]
        print("threads", [t.name for t in threading.enumerate()], len(threading._threading_atexits))
        print("main thread", threading.main_thread().native_id == threading.get_native_id())
    signal = modules["_signal"]
    # Not the last one: a zygote's guests flush their streams at it (docs/languages.md).
    print("signals", [str(signal.getsignal(n)) for n in range(1, signal.NSIG - 1)])
    print("environment", sorted(modules["os"].environ.items()))
    print("descriptors", sorted(fd for fd in range(3, 64) if is_open(fd)))
    if "logging" in modules:
        logging = modules["logging"]
        print("logging", logging.root.handlers, len(logging._handlerList), sorted(logging.root.manager.loggerDict))
        print("logging began", 0 <= modules["time"].time() - logging._startTime < 60)
    print("interpreter", sys.path, [str(f) for f in sys.meta_path], len(sys.path_hooks), sys.getrecursionlimit(), sys.flags)
    print("hooks", sys.gettrace(), sys.getprofile(), sys.excepthook, sys.displayhook)


def is_open(fd):
    import posix

    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


dump()

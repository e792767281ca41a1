import atexit
atexit.register(print, "hook runs after the traceback")
raise RuntimeError("main failed")

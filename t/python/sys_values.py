import sys
f = sys.flags
print(f.debug, f.inspect, f.interactive, f.optimize, f.dont_write_bytecode, f.no_site, f.verbose, f.bytes_warning, f.quiet)
print(f.hash_randomization, f.dev_mode, f.utf8_mode, f.warn_default_encoding, f.safe_path, f.int_max_str_digits, f.isolated)
print(sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.getrecursionlimit(), sys.getswitchinterval())
print(sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__)
print(sys.displayhook is sys.__displayhook__, sys.breakpointhook is sys.__breakpointhook__, hasattr(sys, "last_type"), hasattr(sys, "ps1"))
print(sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__, sys.exc_info())
print(sys.version, sys.platform, sys.byteorder, sys.maxsize, sys.hexversion)
print(sys.prefix, sys.exec_prefix, sys.base_prefix, sys.platlibdir, sys.pycache_prefix, sys.get_int_max_str_digits())
print(__debug__, sys.implementation.name, sys.abiflags)

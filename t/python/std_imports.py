# Import every module of the standard library that is useful to a program.
import importlib
names = """abc argparse array ast asyncio base64 binascii bisect bz2 calendar cmath cmd code codecs collections colorsys compileall
concurrent.futures configparser contextlib contextvars copy cProfile csv ctypes curses datetime dbm decimal difflib dis doctest email
encodings.idna enum errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc getpass gettext glob graphlib grp
gzip hashlib heapq hmac html.parser http.client http.server imaplib importlib.metadata importlib.resources inspect io ipaddress itertools
json keyword linecache locale logging.config lzma mailbox marshal math mimetypes mmap multiprocessing netrc numbers opcode operator
optparse os pathlib pdb pickle pickletools pkgutil platform plistlib poplib posix pprint profile pstats pty pwd py_compile queue quopri
random re readline reprlib resource runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver
sqlite3 ssl stat statistics string stringprep struct subprocess symtable sys sysconfig tarfile tempfile termios textwrap threading time
timeit token tokenize tomllib trace traceback tracemalloc tty types typing unicodedata unittest.mock urllib.request uuid venv warnings
wave weakref webbrowser wsgiref xml.dom.minidom xml.sax xmlrpc.client zipapp zipfile zipimport zlib zoneinfo""".split()
for name in names:
    try:
        importlib.import_module(name)
    except Exception as e:
        print(name, repr(e))
print(len(names))

import getpass
import os
import platform
import shutil
print(platform.system(), platform.machine(), platform.python_implementation(), platform.python_version(), os.name, os.sep)
print(os.path.expanduser("~") == os.environ["HOME"], os.cpu_count() > 0, shutil.which("no-such-program"), os.getcwd())

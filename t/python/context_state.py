# State that a warm interpreter could have changed.
import decimal
import locale
import os
import socket
import threading
print(decimal.getcontext(), socket.getdefaulttimeout(), threading.stack_size(), locale.localeconv()["decimal_point"])
print(oct(os.umask(0o22)), os.getpgrp() > 0, os.get_inheritable(0), os.get_blocking(0), os.get_blocking(1))

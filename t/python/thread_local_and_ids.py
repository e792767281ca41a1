import _thread
import os
import threading
print(threading.get_native_id() == os.getpid(), threading.main_thread().native_id == os.getpid())
print(threading.main_thread().ident == _thread.get_ident(), len(threading.enumerate()), threading.main_thread().name)
print(_thread._count())

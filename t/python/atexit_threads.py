# The interpreter waits for threads before it runs the hooks.
import atexit
import threading
import time
atexit.register(print, "hook")


def work():
    time.sleep(0.1)
    print("thread ends")


threading.Thread(target=work).start()
print("main ends")

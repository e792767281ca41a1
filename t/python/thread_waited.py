import threading
import time


def work(n):
    time.sleep(0.05 * n)
    print("thread", n, threading.current_thread().name)


for n in range(1, 4):
    threading.Thread(target=work, args=(n,)).start()
print("main", threading.current_thread().name, threading.main_thread() is threading.current_thread(), threading.active_count())

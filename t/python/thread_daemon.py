import threading
import time


def forever():
    time.sleep(1000)
    print("never")


t = threading.Thread(target=forever, daemon=True)
t.start()
print(t.daemon, t.is_alive())

import threading


def fails():
    raise LookupError("in a thread")


t = threading.Thread(target=fails, name="worker-1")
t.start()
t.join()
print("main goes on")

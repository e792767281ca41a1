import threading
lock, total, barrier = threading.Lock(), 0, threading.Barrier(32)


def add():
    global total
    barrier.wait()
    for _ in range(100):
        with lock:
            total += 1


threads = [threading.Thread(target=add) for _ in range(32)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(total, threading.active_count())

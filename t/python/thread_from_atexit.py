import atexit
import threading


@atexit.register
def late():
    t = threading.Thread(target=print, args=("late",))
    t.start()
    t.join()


print("main")

import os
import signal
print("kept", flush=True)
os.kill(os.getpid(), signal.SIGKILL)

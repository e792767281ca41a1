import os
import signal
print([(s.name, str(signal.getsignal(s))) for s in (signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ, signal.SIGALRM, signal.SIGHUP)])
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.pthread_sigmask(signal.SIG_BLOCK, []))
signal.signal(signal.SIGUSR1, lambda n, f: print("handled", n, f.f_code.co_name))
os.kill(os.getpid(), signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda *a: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.pause()
print("ignored:", signal.signal(signal.SIGTERM, signal.SIG_IGN))
os.kill(os.getpid(), signal.SIGTERM)
print("alive")

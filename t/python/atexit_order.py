import atexit
for i in range(3):
    atexit.register(print, "hook", i)
atexit.register(print, "to a named place", sep="-")
print("end of main")

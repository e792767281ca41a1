import sys
seen = []


def tracer(frame, event, arg):
    seen.append((event, frame.f_code.co_name, frame.f_lineno))
    return tracer


def f():
    return 1


sys.settrace(tracer)
f()
sys.settrace(None)
print(seen)

def fails():
    raise ExceptionGroup("several", [
        ValueError("one"),
        ExceptionGroup("inner", [TypeError("two"), KeyError("three")]),
    ])


try:
    fails()
except* TypeError as group:
    print("caught", group.exceptions)

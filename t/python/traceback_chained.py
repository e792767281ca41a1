def low():
    raise OSError(2, "no such thing", "file.txt")


def high():
    try:
        low()
    except OSError as e:
        raise RuntimeError("high failed") from e


try:
    high()
except RuntimeError:
    int("x" * 3)

def g():
    try:
        yield 1
    finally:
        print("closed at exit")


it = g()
print(next(it))

# The compiler flags of the driver do not leak into the program's code.
def f(x: int):
    return x


print(f.__annotations__, 1 / 2)

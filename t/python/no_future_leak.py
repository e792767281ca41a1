# The flags of whoever started the program do not leak into its code.
def f(x: int):
    return x


print(f.__annotations__, 1 / 2)

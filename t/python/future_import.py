from __future__ import annotations
import __future__


def f(x: undefined_name) -> nothing:
    return x


print(f.__annotations__, __future__.annotations.compiler_flag)
print(eval("1 if True else 2"))

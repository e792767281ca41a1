import sys
import warnings


def old():
    warnings.warn("old is old", DeprecationWarning, stacklevel=2)


warnings.warn("a user warning")
old()
warnings.warn("a runtime warning", RuntimeWarning)
print([f[0] + " " + f[2].__name__ for f in warnings.filters])
warnings.simplefilter("error")
try:
    warnings.warn("now an error")
except UserWarning as e:
    print("raised", e)

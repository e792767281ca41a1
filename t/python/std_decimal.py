from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
getcontext().prec = 50
print(Decimal(1) / 7, Decimal(2).sqrt(), Fraction(1, 3) + Fraction(1, 6), round(Decimal("2.675"), 2))
with localcontext() as c:
    c.prec = 5
    print(Decimal(1) / 3)
print(0.1 + 0.2, round(2.5), 10 ** 30, float("nan"), -0.0, 1e308 * 10, 2 ** 0.5)

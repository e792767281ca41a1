import __main__
x = 41
__main__.x += 1
print(x, __main__.__name__, __main__.__dict__ is globals())

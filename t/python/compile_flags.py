# eval, exec and compile see the program's own scope.
x = 5
exec("x += 1\ny = __name__")
print(x, y, eval("x * 2"), __import__("math").floor(2.5))
print(eval(compile("[n for n in range(3)]", "f", "eval")), dir() == sorted(globals()))

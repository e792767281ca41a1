print("name?", end=" ")
a = input()
b = input("prompt> ")
print(repr(a), repr(b))
try:
    input("third> ")
except EOFError as e:
    print(repr(e))
input()

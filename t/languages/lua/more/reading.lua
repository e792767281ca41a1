print(io.read("n", "n", "l"))
print(io.read("L"))
print(#io.read("a"), io.read("l"))

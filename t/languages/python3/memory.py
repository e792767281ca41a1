all = []
while True:
    all.append(b"x" * 1_000_000)

import argparse
p = argparse.ArgumentParser(description="what it does")
p.add_argument("--n", type=int, default=3)
p.print_usage()
print(p.parse_args([]), p.prog)
p.parse_args(["--n", "x"])

# The script is a file, and can be imported a second time under its own name.
import sys
print("running as", __name__)
if __name__ == "__main__":
    import main
    print(main.__name__, main.__file__, main is not sys.modules["__main__"])

class Outer:
    class Error(Exception):
        pass


raise Outer.Error("dotted", 2)

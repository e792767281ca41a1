# What lives until the end is finalized, or not, as Python does it.
class D:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name)


a = D("global")
b = D("dropped")
b = None
print("end")

# Objects that live until the end are finalized, or not, as under a bare interpreter.
class D:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name)


a = D("global")
b = D("dropped")
b = None
print("end")

def a(n):
    if n == 0:
        return {}["missing"]
    return a(n - 1)


class C:
    def method(self):
        return [a(x) for x in [2]]


(lambda: C().method())()

import bisect
import collections
import functools
import heapq
import itertools
import operator
print(collections.Counter("abracadabra").most_common(2), collections.OrderedDict(a=1), collections.deque([1, 2], 2), collections.ChainMap({1: 2}))
print(heapq.nsmallest(2, [3, 1, 2]), bisect.bisect([1, 2, 3], 2), list(itertools.permutations("ab")), functools.reduce(operator.mul, [1, 2, 3]))
P = collections.namedtuple("P", "x y")
print(P(1, 2), P.__module__, functools.lru_cache(lambda x: x)(3), {**{"a": 1}, "b": [*range(3)]})
match {"k": [1, 2]}:
    case {"k": [a, *rest]}:
        print(a, rest)

import copy
import dataclasses
import enum
import pickle


@dataclasses.dataclass(order=True, frozen=True)
class Point:
    x: int
    y: int = 2


class Colour(enum.Enum):
    RED = 1


def function():
    return 5


p = pickle.loads(pickle.dumps([Point(1), Colour.RED, function]))
print(p[0], p[0] == Point(1), p[1] is Colour.RED, p[2] is function, Point.__module__)
print(b"__main__" in pickle.dumps(Point(1)), copy.deepcopy(p[0]), dataclasses.asdict(p[0]))
try:
    pickle.dumps(lambda: 1)
except Exception as e:
    print(type(e).__name__, str(e).split(" at 0x")[0])

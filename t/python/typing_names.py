import typing


class Node:
    next: "Node"


print(typing.get_type_hints(Node), Node, Node.__qualname__, repr(Node().__class__))

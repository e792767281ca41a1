"""Reads and changes a file of Cellblock's configuration, and keeps its comments.

The syntax is libconfig's (cellblock.conf(5)). The programs check it; this file only finds the place
of a value. A key in a comment ("#name = value;") counts as known, and is set in place of the comment.
"""

import re

TOKEN = re.compile(
    r"""(?P<offered>\#(?P<offered_name>[a-z_0-9]+)\ =\ (?P<offered_value>[^\n]*))
      | (?P<comment>\#[^\n]* | //[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*")
      | (?P<name>[A-Za-z][A-Za-z0-9_]*)(?=\s*[=:])
      | (?P<mark>[{}()\[\];=:])
      | (?P<other>[^\s{}()\[\];=:"\#]+)
      | (?P<space>\s+)""",
    re.VERBOSE,
)


class Configuration:
    def __init__(self, text):
        self.text = text
        self._find()

    def _find(self):
        """values: path -> (start, end); offers: path -> (start, end, value); ends: group -> place of its brace"""
        self.values, self.offers, self.ends = {}, {}, {}
        groups, pending, start, depth, at = [], None, None, 0, 0
        while at < len(self.text):
            found = TOKEN.match(self.text, at)
            if not found:
                raise ValueError(f"line {self.text.count(chr(10), 0, at) + 1} cannot be understood")
            kind, word, end = found.lastgroup, found.group(), found.end()
            if found.group("offered") is not None and depth == 0:
                self.offers[".".join([*groups, found.group("offered_name")])] = (at, end, found.group("offered_value"))
            elif kind in ("comment", "space") or found.group("offered") is not None:
                pass
            elif kind == "name" and depth == 0 and pending is None:
                pending = word
            elif pending is not None and start is None:
                if word == "{":
                    groups.append(pending)
                    pending = None
                elif word not in "=:":
                    start = at
                    depth += word in ("(", "[")
            elif start is not None:
                if word == ";" and depth == 0:
                    self.values[".".join([*groups, pending])] = (start, at)
                    pending = start = None
                depth += word in ("(", "[", "{")
                depth -= word in (")", "]", "}")
            elif word == "}" and groups:
                self.ends[".".join(groups)] = at
                groups.pop()
            at = end
        self.ends[""] = len(self.text)

    def kinds(self):
        """Every known key, and the kind of its value."""
        texts = {path: value for path, (_, _, value) in self.offers.items()}
        texts.update({path: self.text[start:end] for path, (start, end) in self.values.items()})
        kinds = {path: _kind(text.split(";")[0].strip()) for path, text in texts.items()}
        for path in [path for path in kinds if re.fullmatch(r"limits\.\w+\.(default|maximum)", path)]:
            kinds.setdefault(path.rsplit(".", 1)[0] + ".default", kinds[path])
            kinds.setdefault(path.rsplit(".", 1)[0] + ".maximum", kinds[path])
        return kinds

    def set(self, path, value):
        """Give a key a value. Raises KeyError if its group is not there."""
        written = _written(path, value)
        name = path.rsplit(".", 1)[-1]
        if path in self.values:
            start, end = self.values[path]
        elif path in self.offers and ";" in self.offers[path][2]:
            start, end, offered = self.offers[path]
            end = start + self.text[start:end].index(";") + 1
            written = f"{name} = {written};"
        else:
            start = end = self.ends[path.rpartition(".")[0]]
            written = f"{name} = {written};\n"
        self.text = self.text[:start] + written + self.text[end:]
        self._find()


def _kind(text):
    if text in ("true", "false"):
        return "boolean"
    if re.fullmatch(r"-?[0-9]+L?", text):
        return "number"
    return "list" if text[:1] in ("[", "(") else "string"


def _quoted(text):
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _written(path, value):
    if path == "network.proxies":
        return f'( {{ name = "all"; address = {_quoted(value)}; }} )'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L" if value > 0x7FFFFFFF else str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_quoted(one) for one in value) + "]"
    return _quoted(value)

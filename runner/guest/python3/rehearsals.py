"""What programs do with the modules of the shelf, done some times in the zygote (shelf.py).

CPython specializes code that has run a few times, and `re` and lxml keep the patterns that they have compiled. Guests inherit
both, and copy fewer pages. A program must find no other trace: a rehearsal draws no random number, starts no thread,
counts no name on, and empties the caches that it has filled.

Guests rehearse with the modules that the configuration marks, once, before their run comes. So the pages that such a
program writes to are copied while no client waits.
"""
import codecs
import encodings
import gc
import sys

TIMES = 12  # CPython begins to specialize a function at its eighth call

known_codecs = dict(encodings._cache)

# A program of the size and kind that clients write around a function of their users. The compiler
# needs most of the memory of a short run.
PROGRAM = '''
import json
from base64 import b64decode

LIMIT = 10


class Item:
    def __init__(self, name: str, tags=(), **more):
        self.name, self.tags, self.more = name, list(tags), more

    @property
    def title(self) -> str:
        return f"{self.name!s:>8}: {len(self.tags):d}"


def main(items: list, limit: int = LIMIT, *, is_short: bool = False) -> dict:
    """Sort the items, and count their tags."""
    count, result = {}, []
    for place, item in enumerate(items[:limit], start=1):
        try:
            one = Item(item["name"], item.get("tags") or [], price=round(float(item.get("price", 0)) * 1.19, 2))
        except (KeyError, ValueError) as error:
            result.append({"error": str(error), "place": place})
            continue
        for tag in one.tags:
            count[tag] = count.get(tag, 0) + 1
        if is_short and place % 2 == 0:
            result.append({"name": one.name})
        elif one.name.startswith(("a", "b")) or not one.tags:
            result.append({"name": one.title.strip(), "place": place, **one.more})
    names = sorted({entry["name"] for entry in result if "name" in entry}, key=lambda name: (len(name), name))
    while names and names[-1] == "":
        names.pop()
    return {"items": result, "count": count, "names": ", ".join(names), "total": sum(count.values())}


inputs = json.loads(b64decode(ENCODED).decode("utf-8"))
output = main(**inputs)
print(f"<<{json.dumps(output, indent=4)}>>", file=FILE)
'''
INPUTS = {"items": [{"name": "a", "tags": ["x", "y"], "price": 1.5}, {"name": "b", "tags": ["x"]}, {"tags": []}], "limit": 5}


def patterns():
    import re

    compiler = sys.modules.get("re._compiler") or sys.modules["sre_compile"]
    for text in r"\w+", r"(?P<year>\d{4})-(\d\d)(?:x|yz)?", r"^\s*([a-zA-Z_]\w*|[^,;]*?)\s*$", r"(?i:ab)(.)\1+\b[\W\d]{2,}":
        compiler.compile(text, re.MULTILINE)
    re.findall(r"\w+", "a b")
    re.sub(r"\s+", " ", "a  b")
    re.split(r"[,;]\s*", "a, b")
    match = re.search(r"(\w+)@(\w+)", "a@b")
    match.groups()


def texts():
    import base64
    import io
    import json

    value = {"a": [1, 2.5, None, {"b": True}], "c": "text", "d": {}, "e": []}
    json.loads(json.dumps(value))
    json.loads(base64.b64decode(base64.b64encode(json.dumps(value, indent=4, sort_keys=True).encode())).decode("utf-8"))
    json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    scope = {"__name__": "rehearsal", "ENCODED": base64.b64encode(json.dumps(INPUTS).encode()), "FILE": io.StringIO()}
    exec(compile(PROGRAM, "rehearsal", "exec", dont_inherit=True), scope)


def classes():
    import collections
    import dataclasses
    import enum
    import functools

    collections.Counter("abca").most_common(1)
    collections.namedtuple("Point", "x y")(1, 2)._asdict()
    collections.defaultdict(list)["a"].append(1)

    @dataclasses.dataclass
    class Item:
        name: str
        tags: list = dataclasses.field(default_factory=list)

    dataclasses.asdict(Item("a"))

    class Color(enum.Enum):
        RED = 1
        GREEN = 2

    list(Color)

    @functools.lru_cache(maxsize=None)
    def cached(number):
        return number

    cached(1)


def dates():
    import _strptime
    import datetime

    moment = datetime.datetime.strptime("2020-01-02 03:04:05", "%Y-%m-%d %H:%M:%S")
    moment.strftime("%d %b %Y")
    (moment + datetime.timedelta(days=1)).isoformat()
    _strptime._regex_cache.clear()


def tables():
    import csv
    import io

    file = io.StringIO()
    writer = csv.DictWriter(file, ["a", "b"])
    writer.writeheader()
    writer.writerow({"a": 1, "b": "x"})
    list(csv.DictReader(io.StringIO(file.getvalue())))


def addresses():
    import urllib.parse

    urllib.parse.urlparse("http://user@host:80/path?a=1#f").port
    urllib.parse.urljoin("http://a/b/c", "../d")
    urllib.parse.parse_qs(urllib.parse.urlencode({"a": "x y", "b": [1, 2]}, doseq=True))
    urllib.parse.quote("/\u00e9")
    urllib.parse.clear_cache()


def logs():
    import io
    import logging

    logger = logging.Logger("rehearsal")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s:%(name)s:%(message)s"))
    logger.addHandler(handler)
    logger.warning("a %s", 1)


def arguments():
    import argparse

    parser = argparse.ArgumentParser(prog="rehearsal", description="A text.")
    parser.add_argument("file", nargs="*")
    parser.add_argument("--number", "-n", type=int, default=1, help="a number")
    parser.add_argument("--flag", action="store_true")
    parser.parse_args(["a", "--number", "3", "--flag"])
    parser.format_help()


def event_loop():
    import asyncio

    # No task: those have numbers.
    loop = asyncio.SelectorEventLoop()
    done = loop.create_future()
    loop.call_later(0, done.set_result, 1)
    loop.run_until_complete(done)
    loop.close()


def trees():
    import xml.etree.ElementTree as tree

    root = tree.fromstring("<a><b c='d'>e</b></a>")
    root.find("b").get("c")
    tree.tostring(root)


def templates():
    import jinja2

    text = (
        "{% for item in items %}{{ loop.index }}. {{ item.title | upper }}: {{ '%.2f' | format(item.price) }}\n"
        "{% else %}nothing{% endfor %}{% if a and b == 1 %}{{ a.b }}{% elif c %}{{ d['e'] }}{% endif %}"
        "{% set x = items | length %}{{ x }} {{ items | sum(attribute='price') }} {{ y | default('z') | e }}"
    )
    jinja2.Template(text).render(items=[{"title": "a", "price": 1.5}], a={"b": 2}, b=1)
    jinja2.environment.get_spontaneous_environment.cache_clear()
    jinja2.lexer._lexer_cache.clear()


def documents():
    import yaml

    yaml.safe_load("a: [1, 2.5, yes]\nb:\n  - c: d\n")
    yaml.safe_dump({"a": [1, None], "b": "c"})


def requests():
    import requests as library

    library.Request("POST", "http://host/path", params={"a": "b"}, json={"c": 1}).prepare()
    library.Session()


def arrays():
    import numpy

    array = numpy.arange(15).reshape(3, 5)
    str(array * 1.5)
    repr(array.mean(axis=0))
    numpy.array([[1.0, 2.0], [3.0, 4.0]]).T.sum()
    numpy.linspace(0, 1, 5).round(2).tolist()


def frames():
    import io

    import pandas

    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.5, None], "c": ["x", "y", "x"]})
    str(frame.describe())
    str(frame)
    frame.groupby("c")["a"].sum().to_dict()
    frame.sort_values("a", ascending=False).head(2).to_dict("records")
    frame[frame["a"] > 1].fillna(0).merge(frame, on="a")
    pandas.read_csv(io.StringIO(frame.to_csv(index=False)))
    frame.to_json()
    frame["a"].mean()
    frame.apply(lambda row: row["a"], axis=1)
    pandas.to_datetime(pandas.Series(["2020-01-01"])).dt.year


def soups():
    import bs4

    soup = bs4.BeautifulSoup("<p class='a'>b <b>c</b></p><a href='/d'>e</a>", "html.parser")
    soup.find("a").get("href")
    soup.select("p > b")
    soup.get_text()
    soup.prettify()


def workbooks():
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"] = 42
    book.active.append([1, "x", None])
    [cell.value for row in book.active for cell in row]


def figures():
    import matplotlib.figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = matplotlib.figure.Figure()
    canvas = FigureCanvasAgg(figure)  # no pyplot, which remembers its figures
    axes = figure.subplots()
    axes.plot([1, 2, 3], label="a")
    axes.bar([1, 2], [3, 4])
    axes.set_title("a")
    axes.legend()
    canvas.draw()
    matplotlib.font_manager._get_font.cache_clear()  # a font has an open file
    del figure, canvas, axes
    gc.collect()


# The module that must be there -> what is rehearsed with it.
REHEARSALS = {
    "re": patterns,
    "json": texts,
    "dataclasses": classes,
    "_strptime": dates,
    "csv": tables,
    "urllib.parse": addresses,
    "logging": logs,
    "argparse": arguments,
    "asyncio": event_loop,
    "xml.etree.ElementTree": trees,
    "jinja2": templates,
    "yaml": documents,
    "requests": requests,
    "numpy": arrays,
    "pandas": frames,
    "bs4": soups,
    "openpyxl": workbooks,
    "matplotlib.figure": figures,
}


def no_codec(name):
    return None


def forget_codecs():
    """A program imports the modules of the codecs that it uses."""
    if len(encodings._cache) == len(known_codecs) or not hasattr(codecs, "unregister"):
        return
    encodings._cache.clear()
    encodings._cache.update(known_codecs)
    codecs.register(no_codec)
    codecs.unregister(no_codec)  # empties the interpreter's own cache
    for name in known_codecs:
        codecs.lookup(name)


def carry_out(warn):
    """Rehearse what can be. `warn` is given a text for each rehearsal that fails."""
    for name, rehearsal in REHEARSALS.items():
        if name not in sys.modules:
            continue
        try:
            for _ in range(TIMES):
                rehearsal()
        except Exception as error:
            warn(f"a rehearsal of {name} failed: {type(error).__name__}: {error}")
    forget_codecs()


def for_guests(names):
    """The function that a guest calls, or None if there is nothing for it to do."""
    functions = [REHEARSALS[name] for name in names if name in sys.modules and name in REHEARSALS]

    def rehearse():
        gc.disable()  # the collection afterwards must find all that is new in the youngest generation
        for function in functions:
            function()
        forget_codecs()
        gc.enable()

    return rehearse if functions else None

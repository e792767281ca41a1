import csv
import io
import json
out = io.StringIO()
w = csv.DictWriter(out, ["a", "b"])
w.writeheader()
w.writerow({"a": 'q"x', "b": "l1\nl2"})
print(out.getvalue(), list(csv.reader(io.StringIO(out.getvalue()))))
print(json.dumps({"é": [1.5, None, True, "\u2028"], "n": float("inf")}, indent=1, sort_keys=True), json.loads("[1e5, \"\\ud83d\\ude00\"]"))
json.dumps({1, 2})

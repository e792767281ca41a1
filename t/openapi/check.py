"""Checks values against openapi.json (the first argument). Standard input has a line for each: [label,
where, value]. `where` is the name of a schema, {"request": [path, method]}, or {"answer": [path,
method, status]}. Prints a line for each fault: the label, the place in the value, and why."""
import json
import sys

import jsonschema


def find(where):
    if isinstance(where, str):
        return "#/components/schemas/" + where
    if "request" in where:
        path, method = where["request"]
        return f"#/paths/{escape(path)}/{method}/requestBody/content/application~1json/schema"
    path, method, status = map(str, where["answer"])
    responses = document["paths"][path][method]["responses"]
    status = status if status in responses else "default"
    pointer = f"#/paths/{escape(path)}/{method}/responses/{status}"
    if "$ref" in responses[status]:
        pointer = responses[status]["$ref"]
    return pointer + "/content/application~1json/schema"


def escape(path):
    return path.replace("/", "~1")


document = json.load(open(sys.argv[1], encoding="utf-8"))
resolver = jsonschema.RefResolver("", document)
for line in sys.stdin:
    label, where, value = json.loads(line)
    validator = jsonschema.Draft202012Validator({"$ref": find(where)}, resolver=resolver)
    for fault in sorted(validator.iter_errors(value), key=lambda fault: list(map(str, fault.path))):
        place = "/".join(map(str, fault.absolute_path))
        print(f"{label}: {place or 'the whole'}: {fault.message[:300]}")

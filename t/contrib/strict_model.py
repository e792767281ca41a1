"""strict_model.py - check documents of a YAML file against the models of KEDA, in the package cloudcoil.models.keda.

usage: strict_model.py FILE

A field that a model does not have is a fault; the models themselves would ignore it. Documents of other kinds are left
to others. Prints "KIND passed" or "KIND: PLACE: FAULT" for each.
"""
import sys

import jsonschema
import yaml
from cloudcoil.models.keda import v1alpha1


def close(schema):
    """Have each object with named properties allow no other."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    for document in documents:
        if document["apiVersion"] != "keda.sh/v1alpha1":
            continue
        schema = getattr(v1alpha1, document["kind"]).model_json_schema(by_alias=True)
        close(schema)
        faults = [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}" for fault in
                  jsonschema.Draft202012Validator(schema).iter_errors(document)]
        for line in faults or ["passed"]:
            print(f"{document['kind']}{': ' if faults else ' '}{line}")


main()

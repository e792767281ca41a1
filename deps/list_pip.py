"""Print the packages that Python programs can import: one JSON array of names and versions."""
import importlib.metadata
import json
import re


def normalize(name):
    return re.sub(r"[-_.]+", "-", name).lower()


found = {}
for distribution in importlib.metadata.distributions():
    name, version = distribution.metadata["Name"], distribution.version
    # The first one on the path is the one that is imported.
    if name and version:
        found.setdefault(normalize(name), (name, version))
print(json.dumps([{"name": name, "version": version} for _, (name, version) in sorted(found.items())]))

"""Writes a copy of openapi.json with what holds for one instance, so that each request that fits it is
one that the service must accept: one language, maxima of limits, names of files. Arguments: the file,
and the capabilities of the service as JSON."""
import json
import sys

document = json.load(open(sys.argv[1], encoding="utf-8"))
limits = json.loads(sys.argv[2])["limits"]
schemas = document["components"]["schemas"]
least = {"wall_ms": 1000, "cpu_ms": 1000, "memory_bytes": 1 << 25, "stack_bytes": 1 << 20, "output_bytes": 1 << 16,
         "disk_bytes": 1 << 20, "open_files": 64, "inodes": 1024, "processes": 8, "threads": 8}

run = schemas["RunRequest"]
run["anyOf"] = [{"required": ["code"], "properties": {"code": {"type": "string", "minLength": 1}}}]
run["additionalProperties"] = False
properties = run["properties"]
# Remove members whose values depend on others.
for name in ("main", "tests", "checker", "interactor", "stop_on", "test_output_bytes", "dependencies", "strict",
             "compiler_options", "network"):
    del properties[name]
properties["language"] = {"enum": ["python3", "Python3", "PYTHON3"]}
schemas["Limits"]["properties"] = {
    name: {"type": ["integer", "null"], "minimum": least[name], "maximum": limit["maximum"]} for name, limit in limits.items()
}
schemas["Environment"]["propertyNames"] = {"pattern": "^[a-z]{1,8}$"}
properties["collect"]["items"] = {"type": "string", "pattern": r"^[a-z*?]{1,8}$"}
name = {"type": "string", "pattern": "^[a-z]{1,8}$"}
schemas["Path"] = name
schemas["InputFiles"]["oneOf"][1]["maxItems"] = 1
schemas["InputFile"]["properties"]["encoding"] = {"enum": ["utf-8", None]}
# The key has stored nothing.
schemas["InputFile"]["anyOf"] = [{"required": ["content"], "properties": {"content": {"type": "string"}}}]
del schemas["InputFile"]["properties"]["id"]
schemas["InputFile"]["additionalProperties"] = False
schemas["RunForm"]["properties"]["language"] = {"enum": ["python3"]}
schemas["RunForm"]["additionalProperties"] = False
for parameter in document["paths"]["/v1/sandbox/run"]["post"]["parameters"]:
    if parameter.get("name") == "X-Queue-Timeout":
        parameter["schema"] = {"type": "integer", "minimum": 9000, "maximum": 10000}
document["components"]["parameters"]["DependenciesLanguage"]["schema"] = {"enum": ["python3", "nodejs"]}
update = document["paths"]["/v1/sandbox/dependencies/update"]["post"]["requestBody"]["content"]["application/json"]
update["schema"]["properties"]["language"] = {"enum": ["python3", "nodejs"]}
json.dump(document, sys.stdout)

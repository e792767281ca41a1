"""What the Python client does with a service: prints a line of JSON for each call that it is told to
make. Arguments: sync or async, the URL, the key, the seconds of retry, and a list of calls in JSON."""
import asyncio
import json
import sys

import cellblock


def show(value):
    if isinstance(value, bytes):
        value = list(value)
    if isinstance(value, cellblock.Result):
        value = {"stdout": value.stdout, "ok": value.ok, "files": {k: list(v) for k, v in value.files.items()}}
    print(json.dumps({"value": value}), flush=True)


def complain(error):
    print(json.dumps({"error": type(error).__name__, "message": error.message, "status": error.status,
                      "may_have_run": error.may_have_run, "retry_after": error.retry_after,
                      "has_id": error.request_id is not None}), flush=True)


def call(client, name, fields):
    if "bytes" in fields:
        fields["files"] = {path: bytes(content) for path, content in fields.pop("bytes").items()}
    if name == "put_file":
        fields["content"] = bytes(fields["content"])
    return getattr(client, name)(**fields)


how, url, key, retry, calls = sys.argv[1:]
settings = dict(url=url, key=key or None, retry=float(retry))
for name, fields in (calls := json.loads(calls)):
    settings["timeout"] = fields.pop("client_timeout", 600)


async def all_async():
    async with cellblock.AsyncClient(**settings) as client:
        for name, fields in calls:
            try:
                answer = call(client, name, fields)
                show([event async for event in answer] if name == "events" else await answer)
            except cellblock.CellblockError as error:
                complain(error)


def all_sync():
    with cellblock.Client(**settings) as client:
        for name, fields in calls:
            try:
                answer = call(client, name, fields)
                show(list(answer) if name == "events" else answer)
            except cellblock.CellblockError as error:
                complain(error)


if how == "async":
    asyncio.run(all_async())
else:
    all_sync()

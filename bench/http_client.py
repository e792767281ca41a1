"""http_client.py - requests to a service, many at a time, over plain HTTP on connections that are kept.

The client is slower than http_load, but it knows each answer: its status, headers and JSON.
"""
import asyncio
import json
import time


class Answer:
    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.seconds = status, headers, seconds
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    @property
    def data(self):
        return (self.json or {}).get("data") or {}

    def is_envelope(self):
        return isinstance(self.json, dict) and {"code", "message", "data"} <= self.json.keys()


class Client:
    """Connections to 127.0.0.1:port. A request takes one that is idle, or opens another."""

    def __init__(self, port):
        self.port = port
        self.idle = []

    async def send(self, method, path, key="", body=None, limit=None):
        """The Answer, or None if the connection broke or `limit` seconds passed; it is closed then."""
        began = time.monotonic()
        stream = None
        try:
            async with asyncio.timeout(limit):
                stream = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
                return await self.exchange(stream, method, path, key, body, began)
        except (OSError, EOFError, TimeoutError, ValueError):
            if stream is not None:
                stream[1].transport.abort()
            return None

    async def exchange(self, stream, method, path, key, body, began):
        reader, writer = stream
        content = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
        head += "Content-Type: application/json\r\n" if body is not None else ""
        head += f"X-Api-Key: {key}\r\n" if key else ""
        writer.write(head.encode() + b"\r\n" + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        text = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.idle.append(stream)
        return Answer(int(lines[0].split()[1]), headers, text, time.monotonic() - began)

    async def run(self, key, body, limit=None):
        return await self.send("POST", "/v1/sandbox/run", key, body, limit)

    def close(self):
        for _, writer in self.idle:
            writer.close()
        self.idle = []


def percentile(values, percent):
    """Of a list of numbers; None if it is empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None

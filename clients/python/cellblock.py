"""A client of Cellblock, which runs untrusted programs. One file, the standard library only.

    from cellblock import Client

    with Client("https://sandbox.example:8443", key="...", ca="cert.pem") as client:
        result = client.run("python3", "print(6 * 7)")
        print(result.stdout)

AsyncClient has the same methods for asyncio. Python 3.8 or later.

A call is tried again only where that is safe: if the service cannot be reached, or answers 429, or
503 in its own envelope, which say that nothing was run. All but runs are tried again after other
failures, too. A run that may have begun is never sent twice: that is the error Lost.
"""

import asyncio
import base64
import json
import os
import random
import re
import select
import socket
import ssl
import threading
import time
from urllib.parse import quote, urlsplit

__all__ = [
    "AsyncClient", "AuthError", "Busy", "CellblockError", "Client", "Lost", "NotFound", "RequestError", "Result",
    "ServiceError", "Unreachable",
]

_RUN, _FILES = "/v1/sandbox/run", "/v1/sandbox/files"
_EVENTS = "application/x-ndjson"
_SAFE_TWICE = ("GET", "PUT", "DELETE")
_USER_AGENT = "cellblock-python/0.1.0"
_LINE_MOST = 65536
_BODY_MOST = 1 << 30
_IDLE_S = 30.0  # nginx closes an idle connection after 75 s
_CONNECT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0


# ---- errors ---------------------------------------------------------------------------------------------------------


class CellblockError(Exception):
    """The request was not carried out.

    `status` is the HTTP status (None: there was no answer), `code` the envelope's, `request_id` the
    id to quote, `retry_after` in seconds or None. `may_have_run` says whether a run may have begun.
    """

    may_have_run = False

    def __init__(self, message, status=None, code=None, request_id=None, retry_after=None):
        super().__init__(message)
        self.message, self.status, self.code = message, status, code
        self.request_id, self.retry_after = request_id, retry_after
        self._is_final = False


class RequestError(CellblockError):
    """The service rejects the request (400, 413, 422); the message names the field."""


class AuthError(CellblockError):
    """The key is missing, wrong or expired (401), or not an operator's (403)."""


class NotFound(CellblockError):
    """There is no such route or file (404), or the route lacks the method (405)."""


class Busy(CellblockError):
    """Nothing was run: the key has too many requests (429), or no cell is free (503)."""


class Unreachable(Busy):
    """Nothing was run: there is no connection to the service."""


class ServiceError(CellblockError):
    """A fault of the service (5xx)."""

    may_have_run = True


class Lost(ServiceError):
    """The run may have begun, and its result is lost: the connection was cut, or the time is up."""


# ---- requests and answers -------------------------------------------------------------------------------------------


class Result:
    """The result of a run. `data` has all of it, as API.md describes it."""

    def __init__(self, data, request_id=None):
        self.data, self.request_id = data, request_id

    def __repr__(self):
        return f"Result(status={self.status!r}, exit_code={self.exit_code!r}, stdout={self.stdout[:60]!r})"

    def _field(name):
        return property(lambda self: self.data.get(name), doc=f"data[{name!r}]")

    stdout, stderr, error = _field("stdout"), _field("stderr"), _field("error")
    exit_code, signal, status = _field("exit_code"), _field("signal"), _field("status")
    truncated, denied, usage = _field("truncated"), _field("denied"), _field("usage")
    del _field

    @property
    def ok(self):
        """Whether the program ended by itself with exit code 0."""
        return self.status == "ok"

    @property
    def files(self):
        """The collected files that were returned: a dict of paths and bytes."""
        found = {}
        for file in self.data.get("files") or []:
            if file.get("content") is not None:
                content = file["content"]
                found[file["path"]] = base64.b64decode(content) if file.get("encoding") == "base64" else content.encode()
        return found


class _Reply:
    def __init__(self, status, headers, body, keeps):
        self.status, self.headers, self.body, self.keeps = status, headers, body, keeps


class _Malformed(Exception):
    """What arrives is not HTTP."""


def _read_reply(method):
    """A generator that reads an answer, and does no input itself: it yields how many bytes it needs
    (None: a line; -1: all until the end), is sent them, and returns a _Reply."""
    head = yield from _read_head()
    return (yield from _read_body(method, *head))


def _read_events():
    """The same for an answer with events: it yields each of them, too, as a dict. Returns a _Reply if
    the answer has none, else None."""
    head = yield from _read_head()
    headers = head[1]
    if not headers.get("content-type", "").startswith(_EVENTS):
        return (yield from _read_body("POST", *head))
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        raise _Malformed("the answer has events, and no chunks")
    rest = b""
    while True:
        size = yield from _read_chunk_size()
        if size == 0:
            raise _Malformed("the events were cut")
        *lines, rest = (rest + (yield size)).split(b"\n")
        yield None
        for line in lines:
            event = json.loads(line)
            if event["event"] == "error":
                data = event["data"]
                raise _error_of(data["status"], data["code"], data["message"], headers.get("x-request-id"), data.get("retry_after"))
            yield event
            if event["event"] == "result":
                return None


def _read_head():
    status = 100
    while 100 <= status < 200:
        start = re.match(rb"HTTP/1\.([01]) (\d{3})(?: |\r|\n)", (yield None))
        if start is None:
            raise _Malformed("the answer is not HTTP")
        status, headers = int(start.group(2)), {}
        while True:
            line = (yield None).rstrip(b"\r\n")
            if not line:
                break
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise _Malformed("the answer has a bad header")
            headers[name.strip().lower()] = value.strip()
    return status, headers, start.group(1) == b"1" and headers.get("connection", "").lower() != "close"


def _read_body(method, status, headers, keeps):
    length = headers.get("content-length", "")
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", "").lower():
        body = yield from _read_chunks()
    elif length.isdigit():
        if int(length) > _BODY_MOST:
            raise _Malformed("the answer is too large")
        body = yield int(length)
    else:
        body, keeps = (yield -1), False
    return _Reply(status, headers, body, keeps)


def _read_chunk_size():
    digits = (yield None).split(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
        raise _Malformed("the answer has a bad chunk")
    return int(digits, 16)


def _read_chunks():
    parts, total = [], 0
    while True:
        size = yield from _read_chunk_size()
        total += size
        if total > _BODY_MOST:
            raise _Malformed("the answer is too large")
        if size == 0:
            while (yield None).rstrip(b"\r\n"):
                pass
            return b"".join(parts)
        parts.append((yield size))
        yield None


def _interpret(reply):
    """The data of an envelope, and the id of the request; or an error."""
    request_id, wait = reply.headers.get("x-request-id"), reply.headers.get("retry-after", "")
    try:
        envelope = json.loads(reply.body)
        code, message = envelope["code"], str(envelope["message"])
    except (ValueError, TypeError, KeyError):
        envelope, code, message = None, None, f"HTTP {reply.status}, and the answer is not Cellblock's"
    if 200 <= reply.status < 300 and code == 0:
        return envelope.get("data"), request_id
    raise _error_of(reply.status, code, message, request_id, int(wait) if wait.isdigit() else None)


def _error_of(status, code, message, request_id, retry_after):
    if status == 429 or (status == 503 and code == -503):
        kind = Busy
    elif status in (401, 403):
        kind = AuthError
    elif status in (404, 405):
        kind = NotFound
    elif status < 500 and (code is not None or status >= 400):
        kind = RequestError
    else:
        kind = Lost if message.startswith("lost") else ServiceError
    return kind(message, status, code, request_id, retry_after)


class _Retries:
    """The attempts of one call: which failure is tried again, and when."""

    def __init__(self, seconds, is_idempotent):
        self._end = time.monotonic() + seconds
        self._is_idempotent = is_idempotent
        self._next_s = _FIRST_PAUSE_S

    def pause(self, error):
        """How many seconds to wait before the request may be sent again. Raises the error if it must not be."""
        is_safe = isinstance(error, Busy) or (self._is_idempotent and isinstance(error, ServiceError))
        if not is_safe or error._is_final:
            raise error
        pause = min(self._next_s, _LONGEST_PAUSE_S) * random.uniform(0.5, 1) + (error.retry_after or 0)
        if time.monotonic() + pause > self._end:
            raise error
        self._next_s *= 2
        return pause


def _run_body(language, code, fields):
    body = {"language": language, "code": code}
    body.update(fields)
    files = body.get("files")
    if isinstance(files, dict) and any(isinstance(content, (bytes, bytearray)) for content in files.values()):
        body["files"] = [
            {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
            if isinstance(content, (bytes, bytearray)) else {"path": path, "content": content}
            for path, content in files.items()
        ]
    return json.dumps({name: value for name, value in body.items() if value is not None}, ensure_ascii=False).encode()


def _run_headers(queue_timeout_ms):
    return {} if queue_timeout_ms is None else {"X-Queue-Timeout": str(int(queue_timeout_ms))}


class _Base:
    """What both clients have in common: settings, requests as bytes, and the methods."""

    def __init__(self, url=None, key=None, *, ca=None, timeout=600.0, retry=30.0):
        """`url` and `key` are CELLBLOCK_URL and CELLBLOCK_API_KEY of the environment by default, and
        `ca`, a file of certificates to trust, is CELLBLOCK_CA. `timeout` is for each request, in
        seconds; `retry` is how long a request is tried again where that is safe."""
        url = url or os.environ.get("CELLBLOCK_URL") or "http://127.0.0.1:8194"
        key = key or os.environ.get("CELLBLOCK_API_KEY")
        ca = ca or os.environ.get("CELLBLOCK_CA")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: must begin with http:// or https://: {url!r}")
        if key is not None and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{8,200}", key):
            raise ValueError("key: must be 8 to 200 letters, digits and ._~+/=-")
        self._host, self._prefix = parts.hostname, parts.path.rstrip("/")
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc.rpartition("@")[2]
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self._key, self._timeout, self._retry = key, timeout, retry
        self._idle = []

    def _request(self, method, path, body, headers):
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._netloc}", f"User-Agent: {_USER_AGENT}"]
        if self._key is not None:
            lines.append(f"X-Api-Key: {self._key}")
        if body is not None:
            kind = "application/octet-stream" if method == "PUT" else "application/json"
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines + ["", ""]).encode("ascii") + (body or b"")

    # Each of these returns what _call returns: a value, or an awaitable of it.

    def run(self, language, code=None, *, queue_timeout_ms=None, **fields):
        """Run a program, and return its Result. `fields` are those of API.md: stdin, args, env,
        limits, files (contents may be bytes), collect, enable_network and others."""
        return self._call("POST", _RUN, _run_body(language, code, fields), _run_headers(queue_timeout_ms), Result)

    def events(self, language, code=None, *, queue_timeout_ms=None, **fields):
        """Run a program, and iterate over its events as they arrive: dicts with `event`, `ms` and
        `data`. The last one is `result`; a run that is not carried out is an error. An iterator
        that is closed ends its run."""
        headers = {"Accept": _EVENTS, **_run_headers(queue_timeout_ms)}
        return self._follow(self._request("POST", _RUN, _run_body(language, code, fields), headers))

    def put_file(self, content):
        """Store bytes for the runs to come, and return their id."""
        return self._call("PUT", _FILES, bytes(content), take=lambda data, _: data["id"])

    def get_file(self, id):
        """The bytes of a file in the store."""
        return self._call("GET", f"{_FILES}/{quote(id, safe=':')}", is_raw=True)

    def delete_file(self, id):
        """Remove a file from the store. Returns True."""
        return self._call("DELETE", f"{_FILES}/{quote(id, safe=':')}", take=lambda data, _: data["deleted"])

    def languages(self):
        """The languages: a list of dicts."""
        return self._call("GET", "/v1/sandbox/languages", take=lambda data, _: data["languages"])

    def capabilities(self):
        """The version, the layers of isolation, and the limits: a dict."""
        return self._call("GET", "/v1/sandbox/capabilities", take=lambda data, _: data)

    def dependencies(self, language="python3"):
        """The packages that programs can import: a list of dicts."""
        return self._call("GET", f"/v1/sandbox/dependencies?language={quote(language, safe='')}",
                          take=lambda data, _: data["dependencies"])

    def health(self):
        """True if the service can run programs; else an error says why. It is not tried again."""
        return self._call("GET", "/health", retry=0.0, is_probe=True)

    def ready(self):
        """True if the service takes new runs; else an error says why. It is not tried again."""
        return self._call("GET", "/readyz", retry=0.0, is_probe=True)


def _take(reply, take, is_probe, is_raw):
    if is_probe and reply.status == 200:
        return True
    if is_raw and reply.status == 200:
        return reply.body
    data, request_id = _interpret(reply)
    return take(data, request_id)


# ---- the client that blocks -----------------------------------------------------------------------------------------


class _Connection:
    """A socket, and what it has received beyond the last answer. All waits end at the deadline."""

    def __init__(self, client, deadline):
        wait = min(_CONNECT_S, max(deadline - time.monotonic(), 0.001))
        self.socket = socket.create_connection((client._host, client._port), timeout=wait)
        self.received, self.used = bytearray(), 0.0
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if client._tls is not None:
                self.socket = client._tls.wrap_socket(self.socket, server_hostname=client._host)
        except BaseException:
            self.socket.close()
            raise

    def is_usable(self):
        """Whether the service has kept the connection: an idle one has nothing to read."""
        if time.monotonic() - self.used > _IDLE_S or self.received:
            return False
        if not hasattr(select, "poll"):
            return not select.select([self.socket], [], [], 0)[0]
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return not poller.poll(0)

    def wait_until(self, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))

    def _more(self, deadline):
        self.wait_until(deadline)
        data = self.socket.recv(262144)
        self.received += data
        return bool(data)

    def read(self, wanted, deadline):
        if wanted is None:
            end = self.received.find(b"\n")
            while end < 0:
                if len(self.received) > _LINE_MOST or not self._more(deadline):
                    raise _Malformed("the connection was cut")
                end = self.received.find(b"\n")
            wanted = end + 1
        elif wanted < 0:
            while len(self.received) <= _BODY_MOST and self._more(deadline):
                pass
            wanted = len(self.received)
        else:
            while len(self.received) < wanted:
                if not self._more(deadline):
                    raise _Malformed("the connection was cut")
        data = bytes(self.received[:wanted])
        del self.received[:wanted]
        return data

    def close(self):
        self.socket.close()


class Client(_Base):
    """Blocks until the answer is there. May be used by several threads at the same time."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self, deadline):
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            if connection.is_usable():
                return connection
            connection.close()
        try:
            return _Connection(self, deadline)
        except ssl.SSLCertVerificationError as error:
            raise _unreachable(error, is_final=True) from error
        except OSError as error:
            raise _unreachable(error) from error

    def _exchange(self, method, request):
        deadline = time.monotonic() + self._timeout
        connection = self._connect(deadline)
        keeps = False
        try:
            connection.wait_until(deadline)
            try:
                connection.socket.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the service may have answered before it had all
            reader = _read_reply(method)
            wanted = next(reader)
            while True:
                wanted = reader.send(connection.read(wanted, deadline))
        except StopIteration as end:
            keeps = end.value.keeps
            return end.value
        except (OSError, _Malformed) as error:
            raise _lost(error) from error
        finally:
            if keeps:
                connection.used = time.monotonic()
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _call(self, method, path, body=None, headers={}, take=None, retry=None, is_probe=False, is_raw=False):
        request = self._request(method, path, body, headers)
        retries = _Retries(self._retry if retry is None else retry, method in _SAFE_TWICE)
        while True:
            try:
                return _take(self._exchange(method, request), take, is_probe, is_raw)
            except CellblockError as error:
                pause = retries.pause(error)
            time.sleep(pause)

    def _stream(self, request):
        deadline = time.monotonic() + self._timeout
        connection = self._connect(deadline)
        try:
            connection.wait_until(deadline)
            connection.socket.sendall(request)
            reader = _read_events()
            wanted = next(reader)
            while True:
                if isinstance(wanted, dict):
                    yield wanted
                    wanted = next(reader)
                else:
                    wanted = reader.send(connection.read(wanted, deadline))
        except StopIteration as end:
            _check_events(end.value)
        except (OSError, ValueError, _Malformed) as error:
            raise _lost(error) from error
        finally:
            connection.close()

    def _follow(self, request):
        retries = _Retries(self._retry, False)
        has_begun = False
        while True:
            stream = self._stream(request)
            try:
                for event in stream:
                    has_begun = True
                    yield event
                return
            except CellblockError as error:
                if has_begun:
                    raise
                pause = retries.pause(error)
            finally:
                stream.close()
            time.sleep(pause)


def _check_events(reply):
    """An answer without events is an error."""
    if reply is not None:
        _interpret(reply)
        raise ServiceError("the service has no events", reply.status)


def _unreachable(error, is_final=False):
    raised = Unreachable(f"the service cannot be reached: {error}")
    raised._is_final = is_final
    return raised


def _lost(error):
    text = "the time is up" if isinstance(error, (socket.timeout, asyncio.TimeoutError)) else str(error)
    return Lost(f"lost: the request may have been carried out, and its result is lost: {text}")


# ---- the client for asyncio -----------------------------------------------------------------------------------------


class AsyncClient(_Base):
    """The same methods, to be awaited. A task that is cancelled closes its connection, which ends
    its run."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        """Close the idle connections."""
        idle, self._idle = self._idle, []
        for _, writer, _, _ in idle:
            writer.close()

    async def _connect(self):
        loop = asyncio.get_running_loop()
        while self._idle:
            reader, writer, used, of = self._idle.pop()
            if of is loop and time.monotonic() - used < _IDLE_S and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            if not of.is_closed():
                writer.close()
        try:
            return await asyncio.wait_for(
                asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_LINE_MOST), _CONNECT_S)
        except ssl.SSLCertVerificationError as error:
            raise _unreachable(error, is_final=True) from error
        except (OSError, asyncio.TimeoutError) as error:
            raise _unreachable(error or "no connection in time") from error

    @staticmethod
    async def _read(reader, wanted):
        if wanted is None:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                raise _Malformed("the connection was cut")
            return line
        return await (reader.read(_BODY_MOST) if wanted < 0 else reader.readexactly(wanted))

    async def _talk(self, reader, writer, method, request):
        writer.write(request)
        try:
            await writer.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the service may have answered before it had all
        answer = _read_reply(method)
        wanted = next(answer)
        try:
            while True:
                wanted = answer.send(await self._read(reader, wanted))
        except StopIteration as end:
            return end.value

    async def _exchange(self, method, request):
        reader, writer = await self._connect()
        keeps = False
        try:
            reply = await asyncio.wait_for(self._talk(reader, writer, method, request), self._timeout)
            keeps = reply.keeps
            return reply
        except (OSError, EOFError, ValueError, _Malformed, asyncio.TimeoutError) as error:
            raise _lost(error) from error
        finally:
            if keeps:
                self._idle.append((reader, writer, time.monotonic(), asyncio.get_running_loop()))
            else:
                writer.close()

    async def _call(self, method, path, body=None, headers={}, take=None, retry=None, is_probe=False, is_raw=False):
        request = self._request(method, path, body, headers)
        retries = _Retries(self._retry if retry is None else retry, method in _SAFE_TWICE)
        while True:
            try:
                return _take(await self._exchange(method, request), take, is_probe, is_raw)
            except CellblockError as error:
                pause = retries.pause(error)
            await asyncio.sleep(pause)

    async def _stream(self, request):
        deadline = time.monotonic() + self._timeout
        reader, writer = await self._connect()
        try:
            writer.write(request)
            await writer.drain()
            answer = _read_events()
            wanted = next(answer)
            while True:
                if isinstance(wanted, dict):
                    yield wanted
                    wanted = next(answer)
                else:
                    wait = max(deadline - time.monotonic(), 0.001)
                    wanted = answer.send(await asyncio.wait_for(self._read(reader, wanted), wait))
        except StopIteration as end:
            _check_events(end.value)
        except (OSError, EOFError, ValueError, _Malformed, asyncio.TimeoutError) as error:
            raise _lost(error) from error
        finally:
            writer.close()

    async def _follow(self, request):
        retries = _Retries(self._retry, False)
        has_begun = False
        while True:
            stream = self._stream(request)
            try:
                async for event in stream:
                    has_begun = True
                    yield event
                return
            except CellblockError as error:
                if has_begun:
                    raise
                pause = retries.pause(error)
            finally:
                await stream.aclose()
            await asyncio.sleep(pause)

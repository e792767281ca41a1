"""A proxy that lets clients reach one host: proxy.py PORT HOST...

It answers GET of absolute addresses, and CONNECT; anything else, and every other host, gets 403.
"""

import socket
import socketserver
import sys
import threading
from urllib.parse import urlsplit

PORT, ALLOWED = int(sys.argv[1]), set(sys.argv[2:])


def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Proxy(socketserver.StreamRequestHandler):
    def handle(self):
        words = self.rfile.readline().decode("latin-1").split()
        headers = []
        while (line := self.rfile.readline()) not in (b"\r\n", b"\n", b""):
            headers.append(line)
        if len(words) != 3:
            return self.refuse("no request")
        method, target, _ = words
        parts = urlsplit("//" + target if method == "CONNECT" else target)
        if parts.hostname not in ALLOWED:
            return self.refuse(f"refused by the proxy: {parts.hostname}")
        upstream = socket.create_connection((parts.hostname, parts.port or 80))
        if method == "CONNECT":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            upstream.sendall(f"{method} {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        threading.Thread(target=carry, args=(upstream, self.connection), daemon=True).start()
        carry(self.connection, upstream)

    def refuse(self, why):
        body = why.encode() + b"\n"
        self.wfile.write(b"HTTP/1.0 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("", PORT), Proxy).serve_forever()

"""nodes.py - three nodes for t/balancer.t, which do as they are told: 192.0.2.11 to .13, port 8194.

usage: nodes.py DIRECTORY

DIRECTORY/N has a word for node N: ok, busy (503), rate (429), cut (the connection ends once the request is there), or
gone (nothing listens). Each request adds a line to DIRECTORY/log: the node, the method and the path, the number of its
connection, and the size of the body. DIRECTORY/ready is made when all listen.
"""
import contextlib
import http.server
import pathlib
import socket
import socketserver
import sys
import threading
import time

PLACE = pathlib.Path(sys.argv[1])
LOCK = threading.Lock()
CONNECTIONS = iter(range(1, 1 << 30))
STATUS = {"ok": 200, "busy": 503, "rate": 429}


class Node(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.connection_number = next(CONNECTIONS)

        self.server.kept.add(self.connection)

    def finish(self):
        self.server.kept.discard(self.connection)
        super().finish()

    def answer(self):
        node = self.server.server_address[0][-1]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with LOCK, open(PLACE / "log", "a", encoding="utf-8") as log:
            log.write(f"{node} {self.command} {self.path} {self.connection_number} {len(body)}\n")
        word = (PLACE / node).read_text(encoding="utf-8")
        if word == "cut":
            self.close_connection = True
            return
        text = f'{{"code": 0, "data": "{self.headers.get("X-Request-Id")}"}}\n'.encode()
        self.send_response(STATUS[word])
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = set()

    def go(self):
        """Stop to listen, and end all connections, which nobody uses now."""
        self.shutdown()
        self.server_close()
        for connection in list(self.kept):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def serve(node):
    """Listen while the node's word is not `gone`."""
    server = None
    while True:
        is_gone = (PLACE / str(node)).read_text(encoding="utf-8") == "gone"
        if server is None and not is_gone:
            server = Server((f"192.0.2.1{node}", 8194), Node)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        elif server is not None and is_gone:
            server.go()
            server = None
        (PLACE / f"{node}.is").write_text("gone" if server is None else "here", encoding="utf-8")
        time.sleep(0.02)


for number in (1, 2, 3):
    threading.Thread(target=serve, args=(number,)).start()

#!/usr/bin/python3
"""world.py - an internet for t/network*.t, in a network namespace of the test's own.

usage: world.py DIRECTORY       DIRECTORY/cert.pem, DIRECTORY/key.pem: for the servers

It gives the loopback of the namespace public addresses, and others that no run may reach. It serves DNS
(port 53), HTTP (80 and 8080) and HTTPS (443) on all of them. A request to an address that is not public is
answered with "escaped". It writes DIRECTORY/ready when it serves, and ends at the end of its stdin.
"""
import http.server
import ipaddress
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import urllib.parse

PUBLIC = ["9.9.9.9", "149.112.112.112", "2620:fe::fe"]
OTHERS = ["10.1.2.3", "172.16.5.5", "192.168.1.1", "100.64.0.1", "169.254.169.254", "fd00::1"]

NAMES = {
    "origin.test": ["9.9.9.9"],
    "six.test": ["2620:fe::fe"],
    "pypi.org": ["149.112.112.112"],
    "files.pythonhosted.org": ["149.112.112.112"],
    "private.test": ["10.1.2.3"],
    "metadata.test": ["169.254.169.254"],
    "loopback.test": ["127.0.0.1"],
    "unspecified.test": ["0.0.0.0"],
    "loopback6.test": ["::1"],
    "local6.test": ["fd00::1"],
    "mapped.test": ["::ffff:10.1.2.3"],
    "mixed.test": ["9.9.9.9", "10.1.2.3"],
}
asked = {}  # (name, type) => number of queries


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        here = ipaddress.ip_address(self.connection.getsockname()[0])
        here = str(getattr(here, "ipv4_mapped", None) or here)
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        size = int(self.headers.get("Content-Length") or 0)
        repeats = 1
        if url.path == "/echo":
            body = self.rfile.read(size)
        elif "megabytes" in query:
            body, repeats = b"x" * 1000000, int(query["megabytes"])
        else:
            body = b"public"
        if here not in PUBLIC:
            body = f"escaped: {here}".encode()
        self.send_response(302 if "to" in query else 200)
        if "to" in query:
            self.send_header("Location", query["to"])
        self.send_header("Content-Length", str(len(body) * repeats))
        self.end_headers()
        if self.command != "HEAD":
            for _ in range(repeats):
                self.wfile.write(body)

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6  # IPv4 as well, as mapped addresses
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


def serve_http(port, context=None):
    server = Server(("::", port), Origin)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def answer_name(question):
    """The answer to a DNS query: the records of NAMES with a TTL of 0. The address of rebind.test changes."""
    name, at = [], 12
    while question[at]:
        name.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
    name = ".".join(name).lower()
    addresses = NAMES.get(name)
    if name == "rebind.test":
        asked[name, kind] = asked.get((name, kind), 0) + 1
        addresses = ["9.9.9.9" if asked[name, kind] == 1 else "10.1.2.3"]
    packed = [ipaddress.ip_address(a).packed for a in addresses or []]
    packed = [p for p in packed if len(p) == {1: 4, 28: 16}.get(kind)]
    head = question[:2] + struct.pack(">HHHHH", 0x8580 if addresses else 0x8583, 1, len(packed), 0, 0)
    records = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(p)) + p for p in packed)
    return head + question[12 : at + 5] + records


def serve_names():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.bind(("127.0.0.1", 53))
        while True:
            question, client = names.recvfrom(512)
            names.sendto(answer_name(question), client)


def serve_names_by_tcp():
    with socket.create_server(("127.0.0.1", 53)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                while size := stream.read(2):
                    answer = answer_name(stream.read(int.from_bytes(size, "big")))
                    stream.write(len(answer).to_bytes(2, "big") + answer)
                    stream.flush()


def main():
    directory = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in PUBLIC + OTHERS:
        bits = 128 if ":" in address else 32
        subprocess.run(["ip", "address", "add", f"{address}/{bits}", "dev", "lo"], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")
    serve_http(80)
    serve_http(8080)
    serve_http(443, context)
    threading.Thread(target=serve_names, daemon=True).start()
    threading.Thread(target=serve_names_by_tcp, daemon=True).start()
    with open(f"{directory}/ready", "w"):
        pass
    while os.read(0, 1):
        pass


main()

"""A host that tests reach or must not reach: peer.py NAME

It answers every request with its name: by HTTP on port 8000, and by HTTPS on port 8443.
"""

import http.server
import ssl
import subprocess
import sys
import threading

NAME = sys.argv[1]


class Peer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"this is {NAME}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-keyout", "/tmp/key", "-out", "/tmp/cert"],
    check=True,
    stderr=subprocess.DEVNULL,
)
secure = http.server.ThreadingHTTPServer(("", 8443), Peer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/cert", "/tmp/key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8000), Peer).serve_forever()

#!/usr/bin/env python3
"""Stands for the Apache before a Cobbler: TLS, and a log-in page for everything while FLAG exists: tls-proxy.py UPSTREAM CERT KEY FLAG

Prints its port. Ends with whoever started it."""
import http.server
import os
import ssl
import sys
import threading
import time
import urllib.request

upstream, cert, key, flag = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if os.path.exists(flag):
            kind, answer = "text/html; charset=utf-8", b"<!DOCTYPE html><html><body>Please log in.</body></html>"
        else:
            request = urllib.request.Request(upstream, body, {"Content-Type": "text/xml"})
            with opener.open(request, timeout=60) as got:
                kind, answer = got.headers["Content-Type"], got.read()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.5)

"""Greets, with words that it fetches from the store. Listens on every address, so that containers reach it too."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with urlopen(f"{os.environ['STORE']}/words.txt", timeout=5) as answer:
            words = answer.read().decode().strip()
        body = f"revision {os.environ['REVISION']}: the greeter read: {words}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *values: object) -> None:
        print(form % values, flush=True)


ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Greeter).serve_forever()

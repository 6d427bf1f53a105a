"""A key-value server: PING, GET key, SET key value, INCR key; one command a line, one answer a line.

Everything is kept in one JSON file that is replaced as a whole at each change, so it can be killed at any time.
"""

import argparse
import json
import os
import socketserver
import threading
from pathlib import Path


class Store:
    """The values, and the file that holds them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def run(self, command: str, *words: str) -> str:
        """The answer to one command."""
        with self._lock:
            match command.upper(), words:
                case "PING", ():
                    return "PONG"
                case "GET", (key,):
                    return self._values.get(key, "")
                case "SET", (key, *rest):
                    self._write(key, " ".join(rest))
                    return "OK"
                case "INCR", (key,):
                    self._write(key, str(int(self._values.get(key, "0")) + 1))
                    return self._values[key]
        return "ERROR unknown command"

    def _write(self, key: str, value: str) -> None:
        self._values[key] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._values))
        os.replace(fresh, self._path)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, store: Store) -> None:
        self.store = store
        super().__init__(("127.0.0.1", port), Session)


class Session(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        for line in self.rfile:
            words = line.decode(errors="replace").split()
            if words:
                try:
                    answer = self.server.store.run(*words)
                except (OSError, ValueError) as error:
                    answer = f"ERROR {error}"
                self.wfile.write(answer.encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    options = parser.parse_args()
    with Server(options.port, Store(options.file)) as server:
        print(f"listening on port {options.port}, keeping {options.file}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

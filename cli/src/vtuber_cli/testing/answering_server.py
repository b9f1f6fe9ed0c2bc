"""HTTP servers with one fixed answer."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AnsweringServer = Callable[[int, bytes], int]
"""Takes status and body; returns the port of a server that answers every request with them."""


@contextmanager
def answering() -> Iterator[AnsweringServer]:
    """The servers are closed with the context."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int, body: bytes) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    try:
        yield start
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()

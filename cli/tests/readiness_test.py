import http.server
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from vtuber_cli import ports, readiness

Saying = Callable[[int, bytes], int]


@pytest.fixture
def saying() -> Iterator[Saying]:
    servers: list[http.server.HTTPServer] = []

    def start(status: int, body: bytes) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_service_that_is_ready(saying: Saying) -> None:
    assert readiness.of(saying(200, b"{}")) == (True, "")


def test_one_that_is_not_says_why(saying: Saying) -> None:
    reasons = {"reasons": ["no output-handler is connected", "warming"]}
    assert readiness.of(saying(503, json.dumps(reasons).encode())) == (False, "no output-handler is connected; warming")


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"\xff"])
def test_one_that_cannot_say_why_has_its_status_for_a_reason(saying: Saying, body: bytes) -> None:
    ready, why = readiness.of(saying(503, body))
    assert not ready
    assert why == "Service Unavailable"


def test_nobody_there() -> None:
    ready, why = readiness.of(ports.free())
    assert not ready
    assert "refused" in why


def test_no_proxy_of_the_environment_is_asked_about_this_machine(saying: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = f"http://127.0.0.1:{ports.free()}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # What urllib has learnt of the environment before.
    monkeypatch.setattr(urllib.request, "_opener", None)
    assert readiness.of(saying(200, b"{}")) == (True, "")


def test_a_service_that_lacks_only_a_voice_has_started(saying: Saying) -> None:
    def told(*reasons: str) -> tuple[bool, str]:
        return readiness.of(saying(503, json.dumps({"reasons": reasons}).encode()))

    assert told("voice: edge: connection", "model: openai: connection")[0]
    assert not told("voice: edge: connection", "output-handler: none")[0]
    assert not told("warm-up: warming")[0]
    assert not told()[0]

"""A process that serves, from its settings to its signal."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import Field
from starlette.applications import Starlette

from service_runtime import application
from service_runtime.http.health import HealthCheck
from service_runtime.server import serve
from service_runtime.settings import ServiceSettings
from vtuber_cli import ports

WAIT_S = 30
Complaint = Callable[[Callable[[], None], str, str], str]
SERVICE = """
import asyncio, gc, sys
from contextlib import asynccontextmanager
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from service_runtime import application
from service_runtime.http import tcp_options
from service_runtime.http.health import HealthCheck
from service_runtime.server import serve
from service_runtime.settings import ServiceSettings

left = asyncio.Event()
limit = tcp_options.limit_send_buffer

def says(what):
    print(what, flush=True)

def limited(listening):
    says(f"limited {listening.getsockname()[1]}")
    limit(listening)

tcp_options.limit_send_buffer = limited

@asynccontextmanager
async def parts():
    says("up")
    yield
    says("down")

async def slow(_):
    says("asked")
    await left.wait()
    await asyncio.sleep(0.3)
    return PlainTextResponse(f"left, {gc.get_freeze_count() > 1000}")

def leave():
    says("leave")
    left.set()

def build(_):
    return application.create(HealthCheck("svc"), parts, [Route("/slow", slow)], leave=leave)

serve("svc", ServiceSettings, build)
says("returned")
"""


class Settings(ServiceSettings):
    turns: int = Field(default=1, ge=1)


def build(settings: Settings) -> Starlette:
    if settings.turns > 9:
        raise ValueError("TURNS above 9 needs another flag")
    return application.create(HealthCheck("svc"), lambda: pytest.fail("started"), [])


def main() -> None:
    serve("svc", Settings, build)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TURNS", "0", "svc: TURNS: Input should be greater than or equal to 1\n"),
        ("PORT", "70000", "svc: PORT: Input should be less than or equal to 65535\n"),
        ("LOG_LEVEL", "LOUD", "svc: LOG_LEVEL: Input should be 'DEBUG', 'INFO', "),
        ("TURNS", "10", "svc: TURNS above 9 needs another flag\n"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_a_sentence(
    complaint: Complaint, name: str, value: str, said: str
) -> None:
    heard = complaint(main, name, value)
    assert heard.startswith(said)
    assert heard.count("\n") == 1


def test_each_wrong_setting_has_its_sentence_and_none_repeats_a_value(
    complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "sk-secret")
    lines = complaint(main, "TURNS", "sk-other-secret").splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == ["PORT", "TURNS"]
    assert "secret" not in "".join(lines)


@contextmanager
def process(tmp_path: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    running = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PORT": str(port), "SHUTDOWN_GRACE_S": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=WAIT_S)


def lines_until(running: "subprocess.Popen[str]", last: str) -> list[str]:
    """What it says, up to this line; log lines by their event."""
    said: list[str] = []
    assert running.stdout is not None
    for line in running.stdout:
        text = line.strip()
        said.append(json.loads(text)["event"] if text.startswith("{") else text)
        if said[-1] == last:
            return said
    pytest.fail(f"it ended without {last}: {said}")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_told_to_the_service_at_once_and_its_requests_are_finished(
    tmp_path: Path, sent: signal.Signals
) -> None:
    port = ports.free()
    with process(tmp_path, port) as running:
        said = lines_until(running, f"limited {port}")
        assert said.index("listening") < said.index("up") < said.index(f"limited {port}")
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            lines_until(running, "asked")
            running.send_signal(sent)
            # The request waits for `leave`: it is answered only because that is called before its
            # end.
            answer = b""
            while data := client.recv(4_096):
                answer += data
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"left, True"), "what lives for ever is not collected"
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"server:" not in head, "who asks need not know"
        assert b"date:" not in head
        said = lines_until(running, "down")
        assert said.count("leave") == 1
        # uvicorn ends by SIGTERM as if it had not caught it; Ctrl-C is a regular end.
        assert running.wait(WAIT_S) == (-signal.SIGTERM if sent == signal.SIGTERM else 0)


def test_a_server_that_cannot_listen_ends_with_a_status_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with process(tmp_path, port) as running:
            said = lines_until(running, "down")
            assert running.wait(WAIT_S) == 3
    assert f"limited {port}" not in said

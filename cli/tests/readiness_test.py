import json
import urllib.request
from collections.abc import Iterator

import pytest

from vtuber_cli import ports, readiness
from vtuber_cli.testing.answering_server import AnsweringServer, answering


@pytest.fixture
def saying() -> Iterator[AnsweringServer]:
    with answering() as start:
        yield start


def test_a_service_that_is_ready(saying: AnsweringServer) -> None:
    assert readiness.fetch_readiness(saying(200, b"{}")) == (True, "")


def test_one_that_is_not_says_why(saying: AnsweringServer) -> None:
    reasons = {"reasons": ["no output-handler is connected", "warming"]}
    assert readiness.fetch_readiness(saying(503, json.dumps(reasons).encode())) == (
        False,
        "no output-handler is connected; warming",
    )


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"\xff"])
def test_one_that_cannot_say_why_has_its_status_for_a_reason(
    saying: AnsweringServer, body: bytes
) -> None:
    ready, why = readiness.fetch_readiness(saying(503, body))
    assert not ready
    assert why == "Service Unavailable"


def test_nobody_there() -> None:
    ready, why = readiness.fetch_readiness(ports.free())
    assert not ready
    assert "refused" in why


def test_no_proxy_of_the_environment_is_asked_about_this_machine(
    saying: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"http://127.0.0.1:{ports.free()}"
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # What urllib has learnt of the environment before.
    monkeypatch.setattr(urllib.request, "_opener", None)
    assert readiness.fetch_readiness(saying(200, b"{}")) == (True, "")


def test_a_service_that_lacks_only_a_voice_has_started(saying: AnsweringServer) -> None:
    def told(*reasons: str) -> tuple[bool, str]:
        return readiness.fetch_readiness(saying(503, json.dumps({"reasons": reasons}).encode()))

    assert told("voice: edge: connection", "model: openai: connection")[0]
    assert not told("voice: edge: connection", "output-handler: none")[0]
    assert not told("warm-up: warming")[0]
    assert not told()[0]

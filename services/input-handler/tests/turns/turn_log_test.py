"""What is logged of a turn: that it was received, and how it ended."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from dialog_contracts.http import ChatRequest, ErrorBody, FlagSet
from input_handler.errors import EngineRefused, LegacyUnavailable
from input_handler.turns.turn_log import TurnLog

REQUEST = ChatRequest(session_id="live-001", content="hello")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """These tests run in the context of the whole run; a turn has one of its own."""
    yield
    structlog.contextvars.clear_contextvars()


def made() -> TurnLog:
    return TurnLog(REQUEST, FlagSet(generation=7), 3, PARENT)


def lines(logs: list[Any]) -> list[tuple[str, str | None]]:
    return [(line["event"], line.get("outcome")) for line in logs]


def test_the_next_service_gets_the_callers_trace() -> None:
    turn_log = made()
    assert turn_log.traceparent is not None
    assert turn_log.traceparent.split("-")[1] == PARENT.split("-")[1]


def test_a_turn_is_received_once_and_ends_as_its_last_event() -> None:
    with capture_logs() as logs:
        turn_log = made()
        with turn_log.open():
            for event in ("control", "text-delta", "done"):
                turn_log.note(event)
                turn_log.log_received()
    assert lines(logs) == [("turn_received", None), ("turn_answered", "done")]
    assert (logs[0]["chars"], logs[0]["flags_generation"]) == (5, 7)
    assert {line["correlationId"] for line in logs} == {"live-001#3"}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (LegacyUnavailable("neither path"), "legacy_unavailable"),
        (EngineRefused(409, ErrorBody(code="busy", message="m")), "busy"),
    ],
)
def test_a_refused_turn_ends_with_the_code_of_its_error(error: Exception, outcome: str) -> None:
    with capture_logs() as logs, pytest.raises(type(error)), made().open():
        raise error
    assert lines(logs) == [("turn_answered", outcome)]


def test_a_turn_whose_caller_leaves_before_an_event_was_left() -> None:
    with capture_logs() as logs, pytest.raises(GeneratorExit), made().open():
        raise GeneratorExit
    assert lines(logs) == [("turn_answered", "left")]

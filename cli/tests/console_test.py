import io
import json

import pytest

from vtuber_cli.console import Console


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def line(**fields: object) -> str:
    return json.dumps(
        {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "service": "gateway", **fields},
        ensure_ascii=False,
    )


def test_a_log_line_becomes_event_turn_and_values(out: io.StringIO) -> None:
    console = Console(out)
    raw = line(
        event="turn_sent",
        correlationId="live-001#42",
        trace_id="4bf9",
        audio_ms=3120,
        voice=None,
        text="今晚",
    )
    assert console.readable(raw) == "turn_sent  live-001#42  audio_ms=3120 text=今晚"
    assert console.readable(line(event="listening")) == "listening"


@pytest.mark.parametrize(
    "raw", ["plain words", "", "[1, 2]", '"text"', '{"no": "event here"}', "{broken", "[" * 100_000]
)
def test_anything_else_stays_as_it_is(out: io.StringIO, raw: str) -> None:
    assert Console(out).readable(raw) == raw


def test_an_exception_stands_below_its_line(out: io.StringIO) -> None:
    assert (
        Console(out).readable(line(event="crashed", level="error", exception="Traceback …"))
        == "crashed\nTraceback …"
    )


def test_colours_mark_level_turn_and_service_only_where_asked_for(out: io.StringIO) -> None:
    coloured = Console(out, colours=True)
    assert coloured.readable(line(event="slow", level="warning")) == "\x1b[33mslow\x1b[0m"
    assert coloured.readable(line(event="crashed", level="critical")) == "\x1b[31mcrashed\x1b[0m"
    assert "\x1b[1mlive-001#1\x1b[0m" in coloured.readable(
        line(event="x", correlationId="live-001#1")
    )
    assert "\x1b" not in Console(out).readable(
        line(event="slow", level="warning", correlationId="live-001#1", a=1)
    )
    assert "\x1b" not in Console(out, colours=False).paint("x", "red")


def test_a_services_line_begins_with_its_name(out: io.StringIO) -> None:
    Console(out).service_line("gateway", "yellow", line(event="listening", port=8000))
    assert out.getvalue() == "gateway         listening  port=8000\n"

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts import sse
from dialog_contracts.sse import (
    EVENT_NAMES,
    EVENT_TYPES,
    ControlEvent,
    DoneEvent,
    DoneStats,
    ErrorEvent,
    SseFrame,
    SseParser,
    TextDeltaEvent,
    frame,
    split_event_id,
)

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["今晚玩什么？", "👩‍👩‍👧‍👦", "\r\n", "\u2028", "\ufeff", ""]
)
FRAMES = st.lists(
    st.builds(
        lambda content, eos, turn, number: frame(
            TextDeltaEvent(content=content, eos=eos), f"{turn}.{number}"
        ),
        TEXTS,
        st.booleans(),
        st.integers(min_value=1, max_value=10**6),
        st.integers(min_value=0, max_value=10**6),
    ),
    max_size=6,
)


def read(pieces: list[bytes], **options: Any) -> list[SseFrame]:
    parser = SseParser(**options)
    return [found for piece in pieces for found in parser.feed(piece)]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[begin:end] for begin, end in zip(places, places[1:], strict=False)]


@given(
    FRAMES,
    st.lists(st.integers(min_value=0, max_value=10_000)),
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
)
def test_frames_survive_any_cut_and_any_line_end(
    frames: list[SseFrame], at: list[int], line_end: bytes
) -> None:
    wire = b": heartbeat\n\n".join(sent.encode() for sent in [*frames]).replace(b"\n", line_end)
    assert read(cut(wire, at)) == frames
    assert read([bytes([byte]) for byte in wire]) == frames


@given(st.lists(TEXTS.filter(lambda text: not {"\r", "\n"} & set(text)), min_size=1, max_size=4))
def test_data_of_several_lines_stays_so(lines: list[str]) -> None:
    sent = SseFrame("text-delta", "\n".join(lines), "1.1")
    assert read([sent.encode()]) == [sent]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=200)))
def test_any_bytes_mean_the_same_however_they_are_cut(data: bytes, at: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[SseFrame], bool]:
        parser = SseParser(max_event_bytes=64)
        found: list[SseFrame] = []
        try:
            for piece in pieces:
                found.extend(parser.feed(piece))
        except ValueError:
            return [], True
        return found, False

    whole = outcome([data])
    assert outcome(cut(data, at)) == whole
    assert outcome([bytes([byte]) for byte in data]) == whole


def test_comments_unknown_fields_and_missing_spaces_are_no_trouble() -> None:
    wire = (
        b": ping\n\n:\nretry: 5\nevent:done\nnoise\ndata:{}\nid:1.2\n\nevent: lost\n\ndata: x\n\n"
    )
    assert read([wire]) == [SseFrame("done", "{}", "1.2"), SseFrame("message", "x", "1.2")]


def test_an_unfinished_event_is_not_given() -> None:
    assert read([b"event: done\ndata: {}\n"]) == []
    assert read([b"event: done\ndata: {}\n\n"]) == [SseFrame("done", "{}")]


@pytest.mark.parametrize(
    "wire",
    [
        b"data: " + b"x" * 95,
        b": " + b"x" * 99,
        b"data: xxxxxxxxxx\n" * 7,
        b"data: " + b"x" * 95 + b"\n\n",
    ],
)
def test_an_event_over_the_limit_is_an_error_however_it_comes(wire: bytes) -> None:
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        read([wire], max_event_bytes=100)
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        read([bytes([byte]) for byte in wire], max_event_bytes=100)


def test_many_small_events_are_not_one_large_one() -> None:
    assert len(read([SseFrame("done", "{}").encode() * 100], max_event_bytes=100)) == 100


def test_invalid_utf8_is_an_error() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        read([b"data: \xff\n\n"])


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (ControlEvent(action="ACCEPTED"), '{"action":"ACCEPTED"}'),
        (TextDeltaEvent(content="今晚"), '{"content":"今晚","eos":false}'),
        (ErrorEvent(code="c", message="m"), '{"code":"c","message":"m","retryable":false}'),
        (
            DoneEvent(stats=DoneStats(ttft_ms=45.2, tokens=2)),
            '{"stats":{"ttft_ms":45.2,"tokens":2,"interrupted":false}}',
        ),
    ],
)
def test_an_event_is_named_and_written_as_the_design_says(
    event: ControlEvent | TextDeltaEvent | ErrorEvent | DoneEvent, data: str
) -> None:
    sent = frame(event, "42.1")
    name = {
        ControlEvent: "control",
        TextDeltaEvent: "text-delta",
        ErrorEvent: "error",
        DoneEvent: "done",
    }[type(event)]
    assert sent.encode().decode() == f"id: 42.1\nevent: {name}\ndata: {data}\n\n"
    assert sent.parse() == event
    assert json.loads(sent.data) == event.to_wire()


def test_names_and_types_of_events_are_one_list() -> None:
    assert {name: kind for kind, name in EVENT_NAMES.items()} == EVENT_TYPES
    with pytest.raises(KeyError):
        SseFrame("asr-partial", "{}").parse()


@given(st.integers(min_value=0, max_value=10**9 - 1), st.integers(min_value=0, max_value=10**9 - 1))
def test_an_event_id_is_turn_and_number(turn: int, number: int) -> None:
    assert split_event_id(f"{turn}.{number}") == (turn, number)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "42",
        "42.",
        ".7",
        "a.b",
        "4.2.1",
        "-1.2",
        "１.２",
        "².",
        "9" * 11 + ".0",
        "1." + "9" * 5_000,
        f"{2**31}.0",
    ],
)
def test_anything_else_is_no_event_id(wrong: str) -> None:
    with pytest.raises(ValueError, match="an event id is"):
        split_event_id(wrong)


def test_comments_are_frames_for_whoever_asks_for_them() -> None:
    wire = b": still here\n\n" + sse.THINKING.encode() + b"event: done\ndata: {}\n\n"
    assert [frame.event for frame in SseParser().feed(wire)] == ["done"]
    found = list(SseParser(comments=True).feed(wire))
    assert [(frame.event, frame.data) for frame in found] == [
        ("comment", "still here"),
        ("comment", "thinking"),
        ("done", "{}"),
    ]
    assert found[1] == sse.THINKING

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_llm.provider import THINKING, GenerationOptions, Piece
from dialog_llm.providers.openai_chunks import DONE, ErrorInStream
from dialog_llm.providers.openai_reply import DRAIN_S, StreamedReply
from dialog_llm.thought_filter import ThoughtFilter

OPTIONS = GenerationOptions(idle_gap_s=8, wall_clock_s=60, thinking_s=120)
FIRST_S, END_S = 10.0, 60.0


def reply(*, begun: bool = False) -> StreamedReply:
    return StreamedReply(OPTIONS, FIRST_S, END_S, ThoughtFilter(begun=begun))


def chunk(text: str | None = None, reason: str | None = None, **delta: Any) -> str:
    said = {**delta, **({} if text is None else {"content": text})}
    return json.dumps({"choices": [{"index": 0, "delta": said, "finish_reason": reason}]})


def texts(pieces: list[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def test_until_the_first_word_the_limit_is_that_of_the_first_word() -> None:
    it = reply()
    for data in (chunk(), chunk(""), chunk(" \n"), json.dumps({"choices": []})):
        assert it.add(data, 5) == []
        assert (it.deadline, it.limit, it.produced) == (FIRST_S, "timeout_first_token", False)
    assert it.add(chunk(" Hi "), 6) == ["Hi "]
    assert (it.deadline, it.limit, it.produced) == (14, "idle_gap", True)


def test_each_word_moves_the_deadline_but_never_beyond_the_end_of_all() -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    it.add(chunk(" there"), 5)
    assert (it.deadline, it.limit) == (13, "idle_gap")
    it.add(chunk("!"), 55)
    assert (it.deadline, it.limit) == (END_S, "wall_clock")


def test_thoughts_are_waited_for_and_the_reply_gets_its_time_from_its_first_word() -> None:
    it = reply()
    assert it.add(chunk(reasoning_content="hm"), 9) == [THINKING]
    assert (it.end, it.deadline, it.limit) == (9 + 120, 17, "idle_gap")
    it.add(chunk(reasoning_content="hm"), 16)
    assert it.end == 9 + 120, "thinking on does not prolong it"
    it.add(chunk(reasoning_content="hm"), 128)
    assert (it.deadline, it.limit) == (129, "wall_clock")
    assert it.add(chunk("Yes"), 128.5) == ["Yes"]
    assert it.end == 128.5 + 60
    it.add(chunk(reasoning_content="hm"), 130)
    it.add(chunk(" indeed"), 131)
    assert it.end == 128.5 + 60, "a thought between words changes nothing"


def test_thoughts_that_begin_after_words_get_no_time_of_their_own() -> None:
    it = reply()
    it.add(chunk("Hm."), 1)
    assert it.add(chunk(reasoning_content="hm"), 50) == [THINKING]
    assert (it.end, it.deadline, it.limit) == (END_S, 58, "idle_gap")


def test_thoughts_inside_the_text_are_thoughts_too() -> None:
    it = reply()
    assert it.add(chunk("<think>so"), 1) == [THINKING]
    assert it.add(chunk("</think>\n\n"), 2) == []
    assert not it.produced
    assert it.add(chunk("Hello"), 3) == ["Hello"]
    assert it.finish() == []
    assert it.problem() == ("cut_stream", "the stream ended without a finish reason")


def test_text_that_was_held_back_comes_at_the_end() -> None:
    it = reply()
    assert it.add(chunk("a <thi"), 1) == ["a "]
    assert it.finish() == ["<thi"]
    assert it.finish() == []
    expected = reply(begun=True)
    assert expected.add(chunk("no thought at all"), 1) == [THINKING]
    assert expected.finish() == ["no thought at all"]
    assert expected.produced


def test_after_the_reason_only_a_moment_is_waited_for_done() -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    assert not it.complete
    it.add(chunk("", "stop"), 2)
    assert (it.complete, it.deadline, it.problem()) == (True, 2 + DRAIN_S, None)


@pytest.mark.parametrize("done", [DONE, f" {DONE}\n"])
def test_done_ends_it_and_what_follows_is_not_read(done: str) -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    assert it.add(done, 3) == []
    assert (it.complete, it.deadline) == (True, 3 + DRAIN_S)
    assert it.add("no chunk at all", 3.1) == []
    assert it.add(chunk(" there"), 3.2) == []
    assert it.deadline == 3 + DRAIN_S
    assert it.problem() is None


def test_a_reason_with_every_word_ends_nothing() -> None:
    it = reply()
    for at, word in enumerate(("a", "b", "c")):
        assert it.add(chunk(word, "stop"), at) == [word]
        assert (it.deadline, it.limit) == (at + 8, "idle_gap")
    assert it.problem() is None, "the end of the stream was the end of the reply"


def test_a_reason_with_the_last_word_alone_is_one() -> None:
    it = reply()
    it.add(chunk("a"), 1)
    it.add(chunk("b", "stop"), 2)
    assert it.deadline == 2 + DRAIN_S


def test_a_reason_before_any_word_does_not_shorten_the_wait_for_it() -> None:
    it = reply()
    it.add(chunk("", "stop"), 1)
    assert it.deadline == FIRST_S
    assert it.add(chunk("Hi"), 2) == ["Hi"]


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        ([], "empty", ""),
        ([chunk(" ")], "empty", ""),
        ([DONE], "empty", ""),
        ([chunk("", "stop"), DONE], "empty", ""),
        ([chunk("", "content_filter")], "filtered", ""),
        ([chunk("Hi")], "cut_stream", "the stream ended without a finish reason"),
        ([chunk("", "error")], "server_error", "the server gave the reply up"),
        ([chunk("Hi"), chunk("", "error")], "cut_stream", "the server gave the reply up"),
        ([chunk("Hi"), chunk("", "error"), DONE], "cut_stream", "the server gave the reply up"),
        ([chunk(reasoning="hm"), DONE], "empty", "nothing but thoughts"),
        (
            [chunk(reasoning="hm", reason="length")],
            "empty",
            "nothing but thoughts; its thoughts took all of max_tokens",
        ),
        ([chunk("<think>hm", "length")], "empty", "nothing but thoughts; its thoughts took all of"),
        ([chunk(reasoning="hm"), chunk("", "content_filter")], "filtered", ""),
    ],
)
def test_a_reply_that_is_not_complete_says_why(data: list[str], reason: str, detail: str) -> None:
    it = reply()
    for each in data:
        it.add(each, 1)
    it.finish()
    problem = it.problem()
    assert problem is not None
    assert problem[0] == reason
    assert problem[1].startswith(detail)
    assert bool(problem[1]) == bool(detail)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls"])
def test_words_with_a_reason_are_a_complete_reply_also_where_it_was_cut(reason: str) -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    it.add(chunk(None, reason), 1)
    assert it.problem() is None
    assert it.ending == ("stop" if reason == "tool_calls" else reason)


def test_a_later_chunk_without_a_reason_does_not_take_it_back() -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    it.add(chunk("", "length"), 1)
    it.add(json.dumps({"choices": [], "usage": {"total_tokens": 7}}), 1.2)
    assert it.ending == "length"


def test_an_error_of_the_server_is_raised_and_leaves_the_words_so_far() -> None:
    it = reply()
    it.add(chunk("Hi"), 1)
    with pytest.raises(ErrorInStream, match="overloaded"):
        it.add('{"error": {"message": "overloaded", "code": 503}}', 2)
    with pytest.raises(ValueError, match="Expecting"):
        it.add("not JSON", 2)
    assert it.produced
    assert it.deadline == 9


EVENT = st.one_of(
    st.builds(
        chunk,
        st.sampled_from(["", " ", "a", "b c", "<think>", "</think>", "<thi", "nk>"]),
        st.sampled_from([None, None, None, "stop", "length"]),
    ),
    st.just(chunk(reasoning="hm")),
    st.just(DONE),
)


@given(st.lists(st.tuples(EVENT, st.floats(0, 20)), max_size=20), st.booleans())
def test_whatever_comes_time_is_bounded_and_the_text_begins_with_a_word(
    events: list[tuple[str, float]], begun: bool
) -> None:
    it, now, pieces = reply(begun=begun), 0.0, list[Piece]()
    ends = [it.end]
    for data, pause_s in events:
        now += pause_s
        pieces += it.add(data, now)
        assert all(piece == THINKING or piece for piece in pieces)
        assert it.deadline <= max(FIRST_S, now + OPTIONS.idle_gap_s)
        ends.append(it.end)
    assert sum(before != after for before, after in pairwise(ends)) <= 2
    pieces += it.finish()
    said = texts(pieces)
    assert said == said.lstrip()
    assert it.produced == bool(said)
    if not said:
        assert it.problem() is not None

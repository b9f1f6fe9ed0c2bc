from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.audio.mp3 import CODEC_DELAY_SAMPLES, BadAudio, Mp3Stream
from dialog_voice.providers.edge.decoder import EdgeFragmentDecoder
from dialog_voice.testing.edge_server import FRAMES
from dialog_voice.voice import BYTES_PER_MS, SAMPLE_RATE, VoiceAudio, WordCue

DELAY_MS = CODEC_DELAY_SAMPLES * 1000 / SAMPLE_RATE
SILENCE = FRAMES[:4] + bytes(140)
"""A frame of 24 ms in which nothing is coded."""

OTHER_FORMAT = bytes.fromhex("fffb9064") + bytes(1_000)
"""A frame of 44.1 kHz."""


def word(text: str, offset_ms: float, duration_ms: float = 100) -> dict[str, Any]:
    return {
        "type": "WordBoundary",
        "text": text,
        "offset": offset_ms * 10_000,
        "duration": duration_ms * 10_000,
    }


def audio(times: int) -> dict[str, Any]:
    """So many times 120 ms of a hum."""
    return {"type": "audio", "data": FRAMES * times}


def decoder(text: str, *, lead_ms: float = 20, tail_ms: float = 180) -> EdgeFragmentDecoder:
    return EdgeFragmentDecoder(text, lead_ms=lead_ms, tail_ms=tail_ms)


def decoded(it: EdgeFragmentDecoder, *messages: dict[str, Any]) -> list[VoiceAudio]:
    return [piece for message in messages for piece in it.push(message)]


def words(text: str, pieces: list[VoiceAudio]) -> list[tuple[str, float]]:
    cues = [cue for piece in pieces for cue in piece.words]
    return [(text[cue.text_start : cue.text_end], cue.offset_ms) for cue in cues]


def trimmed_ms(times: int, lead_ms: float = 20) -> float:
    """Silence in front of so many hums that is cut."""
    samples = np.frombuffer(Mp3Stream().push(FRAMES * times), "<i2").astype(int)
    loud = int(np.flatnonzero(np.abs(samples) > 100)[0])
    return max(0.0, loud - lead_ms * SAMPLE_RATE / 1000) * 1000 / SAMPLE_RATE


def test_words_lie_where_their_sound_is_after_codec_and_trimming() -> None:
    text = "one two"
    it = decoder(text, lead_ms=0)
    pieces = decoded(it, word("one", 100), word("two", 300), audio(4))
    cut = trimmed_ms(4, lead_ms=0)
    said = words(text, pieces)
    assert [name for name, _ in said] == ["one", "two"]
    assert [at for _, at in said] == pytest.approx([at + DELAY_MS - cut for at in (100, 300)])
    assert cut > 1, "there is silence in front"


def test_a_word_waits_for_its_sound() -> None:
    text = "one two"
    it = decoder(text)
    first = decoded(it, word("one", 0), word("two", 300), audio(2))
    assert [said for said, _ in words(text, first)] == ["one"]
    second = decoded(it, audio(2))
    assert [said for said, _ in words(text, second)] == ["two"]
    start_ms = sum(len(piece.pcm) for piece in first) / BYTES_PER_MS
    assert words(text, second)[0][1] >= start_ms


def test_a_word_that_is_told_too_late_begins_with_the_next_sound() -> None:
    text = "one"
    it = decoder(text)
    before = sum(len(piece.pcm) for piece in decoded(it, audio(4))) / BYTES_PER_MS
    assert before > 400
    (piece,) = decoded(it, word("one", 0), audio(1))
    assert piece.words == (WordCue(before, 0, 3),)


def test_equal_words_are_found_one_after_the_other() -> None:
    text = "no no, no"
    pieces = decoded(decoder(text), *(word("no", at * 50) for at in range(3)), audio(4))
    cues = [(cue.text_start, cue.text_end) for piece in pieces for cue in piece.words]
    assert cues == [(0, 2), (3, 5), (7, 9)]


@pytest.mark.parametrize("odd", ["three", "", "one two"])
def test_a_word_that_is_not_in_the_text_is_skipped_and_the_next_is_found(odd: str) -> None:
    text = "3 apples"
    pieces = decoded(decoder(text), word(odd, 0), word("apples", 50), audio(4))
    assert [said for said, _ in words(text, pieces)] == ["apples"]


def test_a_passage_counts_from_its_own_beginning_and_its_words_from_its_text() -> None:
    text = "no. no."
    it = decoder(text)
    first = [*decoded(it, word("no", 0), audio(4)), *it.finish_passage()]
    so_far = sum(len(piece.pcm) for piece in first) / BYTES_PER_MS
    it.begin_passage(4)
    second = decoded(it, word("no", 100), audio(4))
    (cue,) = [cue for piece in second for cue in piece.words]
    assert (cue.text_start, cue.text_end) == (4, 6)
    assert cue.offset_ms == pytest.approx(so_far + 100 + DELAY_MS - trimmed_ms(4))


def test_a_passage_does_not_begin_before_the_words_that_were_found() -> None:
    text = "one two one"
    it = decoder(text)
    decoded(it, word("one", 0), word("two", 50), audio(4))
    it.begin_passage(0)
    pieces = decoded(it, word("one", 0), audio(4))
    assert [cue.text_start for piece in pieces for cue in piece.words] == [8]


def test_words_that_never_sounded_are_not_those_of_the_next_passage() -> None:
    text = "one two"
    it = decoder(text)
    decoded(it, word("one", 90_000), audio(2))
    list(it.finish_passage())
    it.begin_passage(4)
    pieces = decoded(it, word("two", 0), audio(2))
    assert [said for said, _ in words(text, pieces)] == ["two"]


def test_the_silence_at_the_end_is_as_long_as_it_may_be() -> None:
    for tail_ms in (0, 50, 10_000):
        it = decoder("one", tail_ms=tail_ms)
        decoded(it, audio(4), {"type": "audio", "data": SILENCE * 10})
        rest = list(it.finish_passage())
        kept = b"".join(piece.pcm for piece in rest)
        # A decoder rings on for a frame or two.
        silence_ms = min(tail_ms, 10 * 24)
        assert max(0, silence_ms - 48) <= len(kept) / BYTES_PER_MS <= silence_ms
        assert len(rest) == bool(tail_ms), "a piece without sound is none"


def test_nothing_is_delivered_before_there_is_sound() -> None:
    it = decoder("one")
    assert not it.delivered
    message = {"type": "audio", "data": FRAMES[:100]}
    assert decoded(it, word("one", 0), {"type": "SessionEnd"}, message) == []
    assert list(it.finish_passage()) == []
    assert not it.delivered
    decoded(it, {"type": "audio", "data": FRAMES[100:]})
    assert it.delivered


def test_sound_of_another_format_is_an_error() -> None:
    with pytest.raises(BadAudio, match="24 kHz"):
        decoded(decoder("one"), {"type": "audio", "data": OTHER_FORMAT})


@given(st.lists(st.integers(1, len(FRAMES) * 4), max_size=8))
def test_however_the_sound_is_cut_it_is_the_same_with_the_same_words(cuts: list[int]) -> None:
    text, data = "one two three", FRAMES * 4
    told = [word("one", 0), word("two", 150), word("three", 300)]
    places = [0, *sorted(cuts), len(data)]
    parts = [
        {"type": "audio", "data": data[begin:end]}
        for begin, end in zip(places, places[1:], strict=False)
    ]
    whole, pieces = decoded(decoder(text), *told, audio(4)), decoded(decoder(text), *told, *parts)
    assert b"".join(piece.pcm for piece in pieces) == b"".join(piece.pcm for piece in whole)
    assert [name for name, _ in words(text, pieces)] == ["one", "two", "three"]
    assert [at for _, at in words(text, pieces)] == pytest.approx(
        [at for _, at in words(text, whole)]
    )
    start_ms = 0.0
    for piece in pieces:
        end_ms = start_ms + len(piece.pcm) / BYTES_PER_MS
        assert all(start_ms <= cue.offset_ms < end_ms for cue in piece.words)
        start_ms = end_ms

"""The real child, spoken to by hand over its two pipes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

from dialog_voice.providers.espeak.protocol import HEADER, pack, sizes, unpack
from dialog_voice.voice import BYTES_PER_MS

END_S = 30
LONG = "This is a very long sentence that nobody wants to hear to its end. " * 60
PRINTS = """
import os, sys
from dialog_voice.providers.espeak import process
speak = process._Synthesizer.speak
def prints(self, request):
    print("printed", flush=True)
    os.write(1, b"written")
    speak(self, request)
process._Synthesizer.speak = prints
process.main()
"""

Frame = tuple[dict[str, Any], bytes]


class Child:
    """One process; its stdin and stdout are frames."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def send(self, message: dict[str, Any]) -> None:
        self.stdin.write(pack(message))
        self.stdin.flush()

    def speak(self, number: int, *parts: tuple[str, str, int], **margins: float) -> None:
        """Parts are a voice, a text and where it begins."""
        runs = [[voice, 165, 58, text, start] for voice, text, start in parts]
        message = {"op": "speak", "id": number, "parts": runs, "lead": 15, "tail": 140}
        self.send({**message, **margins})

    def frame(self) -> Frame:
        json_bytes, pcm_bytes = sizes(self.stdout.read(HEADER.size))
        return unpack(self.stdout.read(json_bytes)), self.stdout.read(pcm_bytes)

    def answer(self, number: int) -> tuple[list[Frame], dict[str, Any]]:
        """The frames of a request, and its end."""
        frames: list[Frame] = []
        while True:
            message, pcm = self.frame()
            assert message["id"] == number
            if "end" in message:
                return frames, message
            frames.append((message, pcm))

    def ended(self) -> int:
        return self.process.wait(END_S)


@contextmanager
def started(*command: str) -> Iterator[Child]:
    child = Child(*(command or ("-m", "dialog_voice.providers.espeak.process")))
    try:
        assert child.frame() == ({"ready": 1}, b""), "it says first that it is ready"
        yield child
    finally:
        child.process.kill()
        child.process.wait(END_S)
        assert child.process.stderr
        for pipe in (child.stdin, child.stdout, child.process.stderr):
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with started() as made:
        yield made


def sound(frames: list[Frame]) -> "np.ndarray[Any, np.dtype[np.int16]]":
    return np.frombuffer(b"".join(pcm for _, pcm in frames), "<i2")


def test_a_request_is_answered_by_sound_with_its_words_and_then_its_end(child: Child) -> None:
    child.speak(1, ("en-us+f3", "Hello there, everyone.", 0))
    frames, end = child.answer(1)
    assert end == {"id": 1, "end": "done"}
    assert np.abs(sound(frames).astype(int)).max() > 5_000
    start_ms = 0.0
    for message, pcm in frames:
        assert pcm
        assert len(pcm) % 2 == 0
        end_ms = start_ms + len(pcm) / BYTES_PER_MS
        for offset_ms, *_ in message["words"] + message["phonemes"]:
            assert start_ms - 0.001 <= offset_ms < end_ms, "a cue comes with its sound"
        start_ms = end_ms
    spoken = [tuple(word[1:]) for message, _ in frames for word in message["words"]]
    assert spoken == [(0, 5), (6, 5), (13, 8)]
    assert len([one for message, _ in frames for one in message["phonemes"]]) > 10


def test_the_first_sound_does_not_wait_for_a_batch(child: Child) -> None:
    child.speak(2, ("en-us+f3", "Hello there, everyone.", 0))
    frames, _ = child.answer(2)
    lengths_ms = [len(pcm) / BYTES_PER_MS for _, pcm in frames]
    assert lengths_ms[0] < 60
    assert max(lengths_ms) > 200


def test_parts_are_one_sound_and_their_words_count_from_their_starts(child: Child) -> None:
    child.speak(3, ("en-us+f3", "Hello", 0), ("cmn+f3", "你好", 100), ("en-us+f3", "goodbye", 200))
    frames, end = child.answer(3)
    assert end["end"] == "done"
    words = [word for message, _ in frames for word in message["words"]]
    starts = [start for _, start, _ in words]
    assert starts[0] == 0
    assert 100 in starts
    assert starts[-1] == 200
    offsets = [offset for offset, _, _ in words]
    assert offsets == sorted(offsets)
    phonemes = [offset for message, _ in frames for offset, _ in message["phonemes"]]
    assert phonemes == sorted(phonemes)
    # Those that came before their frame are moved to its beginning, which is rare.
    assert len(set(phonemes)) > len(phonemes) * 0.8


def test_silence_around_the_sound_is_as_long_as_asked_for(child: Child) -> None:
    made = {}
    for number, (lead, tail) in enumerate([(0, 0), (40, 300)], start=10):
        child.speak(number, ("en-us+f3", "Hello.", 0), lead=lead, tail=tail)
        frames, _ = child.answer(number)
        loud = np.flatnonzero(np.abs(sound(frames).astype(int)) > 300)
        made[lead] = (loud[0] / 24, (len(sound(frames)) - loud[-1]) / 24)
    # The quiet part of a sound is not silence; the voice is never twice the same.
    assert made[0][0] < made[40][0] <= made[0][0] + 60
    assert made[0][1] + 100 < made[40][1]


def test_an_unknown_voice_fails_by_its_name_and_the_next_request_is_spoken(child: Child) -> None:
    child.speak(20, ("xx-nowhere", "Hello", 0))
    frames, end = child.answer(20)
    assert (frames, end) == (
        [],
        {"id": 20, "end": "failed", "detail": "no voice xx-nowhere"},
    )
    child.speak(21, ("en-us+f3", "Hello", 0))
    frames, end = child.answer(21)
    assert end["end"] == "done"
    assert len(sound(frames))


def test_a_voice_that_fails_ends_the_parts_after_it(child: Child) -> None:
    child.speak(25, ("en-us+f3", "Hello", 0), ("xx-nowhere", "Hello", 6), ("en-us+f3", "bye", 12))
    frames, end = child.answer(25)
    assert end["end"] == "failed"
    assert 12 not in [word[1] for message, _ in frames for word in message["words"]]


def test_a_request_without_words_is_done_without_sound(child: Child) -> None:
    child.speak(30, ("en-us+f3", " ", 0))
    child.speak(31)
    assert child.answer(30) == ([], {"id": 30, "end": "done"})
    assert child.answer(31) == ([], {"id": 31, "end": "done"})


def test_a_request_that_is_cancelled_before_its_turn_makes_no_sound(child: Child) -> None:
    child.speak(40, ("en-us+f3", "Hello", 0))
    child.send({"op": "cancel", "id": 41})
    child.speak(41, ("en-us+f3", "Hello", 0))
    child.speak(42, ("en-us+f3", "Hello", 0))
    assert child.answer(40)[1]["end"] == "done"
    assert child.answer(41) == ([], {"id": 41, "end": "cancelled"})
    frames, end = child.answer(42)
    assert (end["end"], bool(frames)) == ("done", True)


def test_a_request_that_is_cancelled_while_it_speaks_stops_within_it(child: Child) -> None:
    text = LONG * 5
    child.speak(50, ("en-us+f3", text, 0))
    message, _ = child.frame()
    assert message["id"] == 50
    child.send({"op": "cancel", "id": 50})
    frames, end = child.answer(50)
    assert end == {"id": 50, "end": "cancelled"}
    said = [word[1] for message, _ in frames for word in message["words"]]
    assert max(said, default=0) < len(text) / 2
    child.speak(51, ("en-us+f3", "Hello.", 0))
    frames, end = child.answer(51)
    assert end["end"] == "done"
    assert len(sound(frames)) / 24 < 1_500, "nothing of the text before is in it"


def test_a_cancel_for_what_has_ended_changes_nothing(child: Child) -> None:
    child.send({"op": "cancel", "id": 51})
    child.speak(60, ("en-us+f3", "Hello", 0))
    assert child.answer(60)[1]["end"] == "done"


def test_it_ends_with_its_stdin_also_in_the_middle_of_a_text() -> None:
    with started() as child:
        child.speak(1, ("en-us+f3", LONG, 0))
        child.frame()
        child.stdin.close()
        assert child.ended() == 0


@pytest.mark.parametrize("half", [b"\x05", pack({"op": "cancel", "id": 1})[:-3], b"Traceback: no"])
def test_it_ends_with_its_stdin_also_after_half_a_frame(half: bytes) -> None:
    """A parent that is killed while it writes leaves one. Before: the child lived on for ever."""
    with started() as child:
        child.stdin.write(half)
        child.stdin.close()
        assert child.ended() == 0


def test_it_ends_when_nobody_reads_its_sound() -> None:
    with started() as child:
        child.speak(1, ("en-us+f3", LONG, 0))
        child.frame()
        child.stdout.close()
        assert child.ended() == 0


def test_what_a_library_prints_is_not_in_the_frames() -> None:
    with started("-c", PRINTS) as child:
        child.speak(1, ("en-us+f3", "Hello", 0))
        assert child.answer(1)[1] == {"id": 1, "end": "done"}
        child.stdin.close()
        assert child.ended() == 0
        assert child.process.stderr is not None
        said = child.process.stderr.read()
        assert b"printed" in said
        assert b"written" in said

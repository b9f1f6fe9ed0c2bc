"""The soak's own ear, because "no underrun in ten minutes" stands on it.

Every kind of silence in a speech is one, and nothing else is.
"""

from typing import Any

import pytest

from e2e.bench.listener import DEVICE_MS, Listener

BEGAN = 1_000_000.0
CHUNK = 40.0


def speaking(started_at: float = BEGAN, turn: int = 1) -> dict[str, object]:
    return {
        "type": "STATE",
        "sessionId": "s",
        "turn": turn,
        "phase": "SPEAKING",
        "startedAt": started_at,
    }


def control(action: str) -> dict[str, object]:
    return {"type": "CONTROL", "action": action, "sessionId": "s", "turn": 1}


def spoken(
    listener: Listener, chunks: range, *, started_at: float = BEGAN, ahead_ms: float = 600.0
) -> None:
    """These chunks, each so long before its moment."""
    for number in chunks:
        listener.chunk(number * CHUNK, CHUNK, started_at + number * CHUNK - ahead_ms)


@pytest.fixture
def listener() -> Listener:
    """Two seconds of a speech have come well."""
    heard = Listener()
    heard.frame(speaking())
    spoken(heard, range(50))
    assert heard.underruns == 0
    return heard


def test_a_speech_that_is_always_ahead_has_none(listener: Listener) -> None:
    spoken(listener, range(50, 100))
    listener.frame(control("END"))
    listener.leave(BEGAN + 60_000)
    assert listener.underruns == 0
    assert listener.audio_ms == 100 * CHUNK
    assert 550 + DEVICE_MS <= listener.least_ms <= 600 + DEVICE_MS


def test_five_seconds_of_silence_for_which_the_clock_was_moved_are_one(listener: Listener) -> None:
    later = BEGAN + 5_000
    listener.frame(speaking(later))
    spoken(listener, range(50, 100), started_at=later, ahead_ms=0)
    assert (listener.underruns, listener.moved) == (1, 1)


def test_each_silence_counts(listener: Listener) -> None:
    for number in range(1, 4):
        listener.frame(speaking(BEGAN + number * 100))
    assert listener.underruns == 3


@pytest.mark.parametrize(
    "frames",
    [
        [speaking()],
        [speaking(BEGAN + 0.4)],
        [control("PAUSE"), control("RESUME"), speaking(BEGAN + 3_000)],
        [speaking(BEGAN + 3_000, turn=2)],
        [{"type": "STATE", "turn": 1, "phase": "IDLE", "startedAt": BEGAN + 3_000}],
        [{"type": "TEXT_DELTA", "turn": 1, "content": "words"}],
    ],
)
def test_a_repetition_a_pause_and_another_turn_are_none(
    listener: Listener, frames: list[dict[str, Any]]
) -> None:
    for frame in frames:
        listener.frame(frame)
    assert listener.underruns == 0


def test_after_a_pause_it_counts_again(listener: Listener) -> None:
    for frame in (
        control("PAUSE"),
        control("RESUME"),
        speaking(BEGAN + 3_000),
        speaking(BEGAN + 3_100),
    ):
        listener.frame(frame)
    assert listener.underruns == 1


def test_a_chunk_after_its_moment_is_one(listener: Listener) -> None:
    spoken(listener, range(50, 51), ahead_ms=-DEVICE_MS - 1)
    assert (listener.underruns, listener.late) == (1, 1)


def test_audio_that_never_came_is_one(listener: Listener) -> None:
    spoken(listener, range(53, 60))
    assert (listener.underruns, listener.holes) == (1, 1)


def test_another_turn_begins_at_its_beginning(listener: Listener) -> None:
    listener.frame(speaking(BEGAN + 3_000, turn=2))
    spoken(listener, range(2), started_at=BEGAN + 3_000)
    assert (listener.underruns, listener.audio_ms) == (0, 2 * CHUNK)


def test_nothing_any_more_without_an_end_is_one(listener: Listener) -> None:
    listener.leave(BEGAN + 50 * CHUNK)
    assert listener.underruns == 0, "it sounds still"
    listener.leave(BEGAN + 50 * CHUNK + 1_000)
    assert listener.underruns == 1


def test_a_speech_that_never_began_is_one() -> None:
    listener = Listener()
    listener.leave(BEGAN)
    assert listener.underruns == 1

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.streaming.vad import FRAME
from asr.streaming.vad_silero import CONTEXT, STALE_FRAMES, Silero


class Session:
    """Says the chance it is told, counts in the state, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[Mapping[str, NDArray[Any]]] = []
        self.chance = 0.0

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        self.given.append(dict(inputs))
        return [np.array([[self.chance]], np.float32), inputs["state"] + 1]


def test_each_frame_comes_with_the_end_of_the_one_before_and_the_state() -> None:
    session = Session()
    silero = Silero(session)
    frames = [np.full(FRAME, value, np.float32) for value in (0.1, 0.2)]
    session.chance = 0.7
    assert [round(silero.speech_probability(frame), 3) for frame in frames] == [0.7, 0.7]
    first, second = session.given
    assert first["input"].shape == (1, CONTEXT + FRAME)
    assert first["input"][0, :CONTEXT].max() == 0
    assert second["input"][0, CONTEXT - 1] == np.float32(0.1)
    assert (first["state"].max(), second["state"].max()) == (0, 1)
    assert first["sr"] == 16_000
    assert first["state"].shape == (2, 1, 128)


def test_microphones_share_the_model_and_not_its_memory() -> None:
    session = Session()
    one, other = Silero(session), Silero(session)
    one.speech_probability(np.zeros(FRAME, np.float32))
    other.speech_probability(np.zeros(FRAME, np.float32))
    assert session.given[1]["state"].max() == 0


def test_it_forgets_long_silence_and_never_within_speech() -> None:
    session = Session()
    silero, frame = Silero(session), np.zeros(FRAME, np.float32)
    for _ in range(STALE_FRAMES + 1):
        silero.speech_probability(frame)
    assert session.given[-1]["state"].max() == 0
    session.chance = 0.9
    for _ in range(3 * STALE_FRAMES):
        silero.speech_probability(frame)
    assert session.given[-1]["state"].max() == 3 * STALE_FRAMES
    session.chance = 0.0
    for _ in range(6):
        silero.speech_probability(frame)
    assert session.given[-1]["state"].max() == 0

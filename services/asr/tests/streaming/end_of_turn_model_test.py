import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.decoder import RATE
from asr.streaming.end_of_turn_model import SmartTurn
from asr.streaming.onnx import ModelFailed


class Session:
    """Gives the chances it was told, and notes its windows and threads."""

    def __init__(self, *chances: float | None) -> None:
        self.chances = list(chances)
        self.windows: list[NDArray[Any]] = []
        self.threads: set[str] = set()

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        self.windows.append(inputs["input_features"])
        self.threads.add(threading.current_thread().name)
        chance = self.chances.pop(0)
        if chance is None:
            raise ModelFailed("no answer")
        return [np.array([[chance]], np.float32)]


async def test_it_is_complete_over_a_half_and_judged_beside_the_event_loop() -> None:
    session = Session(0.51, 0.49)
    judge = SmartTurn(session)
    sound = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert await judge.is_complete(sound) is True
    assert await judge.is_complete(sound) is False
    assert [window.shape for window in session.windows] == [(1, 80, 800)] * 2
    assert len(session.threads) == 1
    assert threading.current_thread().name not in session.threads
    judge.close()


async def test_the_utterance_lies_at_the_end_of_the_window_and_the_last_of_it_counts() -> None:
    session = Session(0.1, 0.1)
    judge = SmartTurn(session)
    random = np.random.default_rng(1)
    sound = random.standard_normal(RATE).astype(np.float32)
    await judge.is_complete(sound)
    await judge.is_complete(
        np.concatenate([random.standard_normal(20 * RATE).astype(np.float32) * 0.1, sound])
    )
    short, long = session.windows
    assert short[0, :, :690].mean() < short[0, :, 710:].mean() - 0.5
    assert np.allclose(short[0, 30:, 710:].argmax(0), long[0, 30:, 710:].argmax(0)), (
        "the same sound at the same place"
    )
    judge.close()


async def test_a_model_that_gives_no_answer_says_so() -> None:
    judge = SmartTurn(Session(None))
    with pytest.raises(ModelFailed):
        await judge.is_complete(np.zeros(RATE, np.float32))
    judge.close()

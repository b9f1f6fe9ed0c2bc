"""End-of-turn model: decides whether a user who pauses has finished.

smart-turn uses the sound of the utterance, in Chinese, English and other languages.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import numpy as np

from asr.decoder import RATE, Samples
from asr.streaming.mel import log_mel
from asr.streaming.onnx import OnnxModel

WINDOW: Final = 8 * RATE
COMPLETE_THRESHOLD: Final = 0.5


class EndOfTurnModel(Protocol):
    """Predicts whether an utterance is complete."""

    async def is_complete(self, samples: Samples) -> bool:
        """Return the prediction for an utterance and the silence after it; raises ModelFailed."""


class SmartTurn:
    """Runs one prediction at a time in a thread, since it takes 40 ms of a core."""

    def __init__(self, session: OnnxModel) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")

    async def is_complete(self, samples: Samples) -> bool:
        """Return the prediction, as in `EndOfTurnModel`."""
        return (
            await asyncio.get_running_loop().run_in_executor(self._thread, self._chance, samples)
            > COMPLETE_THRESHOLD
        )

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _chance(self, samples: Samples) -> float:
        recent = samples[-WINDOW:]
        # The model was trained on utterances that end with the window.
        window = np.concatenate([np.zeros(WINDOW - len(recent), np.float32), recent])
        level = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return float(
            self._session.run(None, {"input_features": log_mel(level)[None]})[0].reshape(-1)[0]
        )

"""Whether somebody who has paused is done: smart-turn, a model that listens to how it was said, in Chinese, English and others."""

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
    """Says whether an utterance is complete."""

    async def is_complete(self, samples: Samples) -> bool:
        """Of an utterance and the silence after it. Raises ModelFailed where it cannot say."""


class SmartTurn:
    """Judges one utterance at a time, beside the event loop: it takes 40 ms of a core."""

    def __init__(self, session: OnnxModel) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")

    async def is_complete(self, samples: Samples) -> bool:
        """See `Judge`."""
        return (
            await asyncio.get_running_loop().run_in_executor(self._thread, self._chance, samples)
            > COMPLETE_THRESHOLD
        )

    def close(self) -> None:
        """Judge nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _chance(self, samples: Samples) -> float:
        recent = samples[-WINDOW:]
        # It was trained on utterances that end where the window does.
        window = np.concatenate([np.zeros(WINDOW - len(recent), np.float32), recent])
        level = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return float(
            self._session.run(None, {"input_features": log_mel(level)[None]})[0].reshape(-1)[0]
        )

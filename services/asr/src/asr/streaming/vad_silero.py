"""Voice activity by Silero VAD: 0.1 ms a frame, so it runs where the frames arrive."""

from typing import Final

import numpy as np

from asr.decoder import RATE, Samples
from asr.streaming.onnx import OnnxModel

CONTEXT: Final = 64
"""Samples of the frame before that the model wants to see again."""

STALE_FRAMES: Final = 62
"""Two seconds. Long noise and music make its memory deaf to the speech that follows, so it forgets in between …"""

QUIET_FRAMES: Final = 5
QUIET_BELOW: Final = 0.1
"""… but only in clear silence: 160 ms of it are no dip within a word."""


class Silero:
    """One microphone's; the session is everybody's."""

    def __init__(self, session: OnnxModel) -> None:
        self._session = session
        self._rate = np.array(RATE, np.int64)
        self._context = np.zeros(CONTEXT, np.float32)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._age = self._quiet = 0

    def speech_probability(self, frame: Samples) -> float:
        """See `VoiceActivity`."""
        if self._age >= STALE_FRAMES and self._quiet >= QUIET_FRAMES:
            self._state = np.zeros_like(self._state)
            self._age = 0
        given = np.concatenate([self._context, frame]).reshape(1, -1)
        found, self._state = self._session.run(
            None, {"input": given, "state": self._state, "sr": self._rate}
        )
        self._context = frame[-CONTEXT:]
        chance = float(found.reshape(-1)[0])
        self._age += 1
        self._quiet = self._quiet + 1 if chance < QUIET_BELOW else 0
        return chance

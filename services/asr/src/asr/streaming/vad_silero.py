"""Voice activity by Silero VAD.

It takes 0.1 ms per frame, so it runs on the event loop.
"""

from typing import Final

import numpy as np

from asr.decoder import RATE, Samples
from asr.streaming.onnx import OnnxModel

CONTEXT: Final = 64
"""Samples of the previous frame that the model needs again."""

STALE_FRAMES: Final = 62
"""Age of the model's state (two seconds) from which it may be reset.

After long noise and music the state makes the model miss the speech that follows.
"""

QUIET_FRAMES: Final = 5
QUIET_BELOW: Final = 0.1
"""The state is reset only after QUIET_FRAMES frames below this probability.

160 ms of clear silence are not a dip within a word.
"""


class Silero:
    """Voice activity of one microphone; the model is shared."""

    def __init__(self, session: OnnxModel) -> None:
        self._session = session
        self._rate = np.array(RATE, np.int64)
        self._context = np.zeros(CONTEXT, np.float32)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._age = self._quiet = 0

    def speech_probability(self, frame: Samples) -> float:
        """Return the probability of speech in a frame, as in `VoiceActivity`."""
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

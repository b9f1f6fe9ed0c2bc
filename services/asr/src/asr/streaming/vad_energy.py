"""Voice activity without a model: louder than the room by a margin, and no hiss. It takes music and a slammed door for speech."""

import math
from typing import Final

import numpy as np

from asr.decoder import Samples
from asr.streaming.vad import FRAME_MS

MARGIN_DB: Final = 9.0
SLOPE_DB: Final = 1.5
QUIETEST_DB: Final = -55.0
"""Below this nothing is speech, however quiet the room."""

NOISE_FLOOR_MAX_DB: Final = -45.0
"""The loudest room that is believed at first: whoever speaks into the first frame is not taken for the room."""

RISE_DB: Final = 2.0 * FRAME_MS / 1000
"""A frame. A noise that stays becomes part of the room, 2 dB a second; a sentence has pauses, in which the room is heard again."""

FALL: Final = 0.2
HISS: Final = 0.42
"""Share of samples at which the sign changes. Voices stay below 0.3, even in an s; white noise has 0.5."""


class EnergyGate:
    """One microphone's."""

    def __init__(self) -> None:
        self._noise_floor_db: float | None = None

    def speech_probability(self, frame: Samples) -> float:
        """See `VoiceActivity`."""
        level_db = 10 * math.log10(float(np.mean(frame * frame)) + 1e-10)
        if self._noise_floor_db is None:
            self._noise_floor_db = min(level_db, NOISE_FLOOR_MAX_DB)
        elif level_db < self._noise_floor_db:
            self._noise_floor_db += (level_db - self._noise_floor_db) * FALL
        else:
            self._noise_floor_db += min(level_db - self._noise_floor_db, RISE_DB)
        if level_db < QUIETEST_DB or float(np.mean(frame[1:] * frame[:-1] < 0)) > HISS:
            return 0.0
        return 1 / (1 + math.exp(-(level_db - self._noise_floor_db - MARGIN_DB) / SLOPE_DB))

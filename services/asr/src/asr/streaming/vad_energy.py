"""Voice activity without a model: louder than the noise floor by a margin, and not hiss.

Music and a slammed door count as speech.
"""

import math
from typing import Final

import numpy as np

from asr.decoder import Samples
from asr.streaming.vad import FRAME_MS

MARGIN_DB: Final = 9.0
SLOPE_DB: Final = 1.5
QUIETEST_DB: Final = -55.0
"""Level below which nothing is speech, however low the noise floor is."""

NOISE_FLOOR_MAX_DB: Final = -45.0
"""Highest initial noise floor, so that speech in the first frame does not become the floor."""

RISE_DB: Final = 2.0 * FRAME_MS / 1000
"""Rise of the noise floor per frame, 2 dB per second.

A persistent noise becomes part of the floor; a sentence has pauses, in which the floor falls again.
"""

FALL: Final = 0.2
HISS: Final = 0.42
"""Share of samples at which the sign changes.

Voices stay below 0.3, even in an s; white noise has 0.5.
"""


class EnergyGate:
    """Voice activity of one microphone."""

    def __init__(self) -> None:
        self._noise_floor_db: float | None = None

    def speech_probability(self, frame: Samples) -> float:
        """Return the probability of speech in a frame, as in `VoiceActivity`."""
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

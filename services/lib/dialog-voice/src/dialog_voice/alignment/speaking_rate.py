"""How fast a voice speaks compared with readings of its texts, learnt from the fragments it has finished. Pure."""

import math
from typing import Final, Protocol

USUAL: Final = 1.1
"""Voices of today are a little quicker than espeak at 165 words a minute."""

_SPREAD: Final = 0.3
"""Of a voice that nobody has heard: one in three is more than this share faster or slower."""

FRAGMENT_SPREAD: Final = 0.07
"""Of one fragment of a known voice; measured between 0.03 and 0.08 on neural voices."""

_SHORT_MS: Final = 150.0
"""What a fragment's beginning and end may have more or less of sound: a short one teaches little."""

_DECAY: Final = 0.02
_PLAUSIBLE: Final = 3.0


class SpeakingRate:
    """One voice in one language; `mean` and `spread` are of the logarithm of its speed, in ms of a reading per ms of sound."""

    def __init__(self, usual: float = USUAL) -> None:
        self._usual = self.mean = math.log(usual)
        self._variance = _SPREAD**2

    @property
    def spread(self) -> float:
        """How far the next fragment may be off the mean."""
        return math.sqrt(self._variance + FRAGMENT_SPREAD**2)

    @property
    def speed(self) -> float:
        """The most likely one."""
        return math.exp(self.mean)

    def learn(self, reading_ms: float, sound_ms: float) -> None:
        """A fragment of this reading had so much sound. Nonsense, as of a text that was not spoken at all, teaches nothing."""
        if min(reading_ms, sound_ms) <= 0:
            return
        measured = math.log(reading_ms / sound_ms)
        if abs(measured - self._usual) > math.log(_PLAUSIBLE):
            return
        variance = FRAGMENT_SPREAD**2 + (_SHORT_MS / sound_ms) ** 2
        weight = self._variance / (self._variance + variance)
        self.mean += weight * (measured - self.mean)
        # Never certain: a voice may be told to hurry.
        self._variance = (1 - weight) * self._variance + _DECAY**2


class Aligner(Protocol):
    """Tells where in a reading a voice is."""

    def step(self, pcm: bytes, left: int | None) -> float:
        """The place (ms of the reading) at the end of the next 40 ms of sound; `left`: how many more there are, None: nobody knows."""
        ...


class RateAligner:
    """Goes through a reading at the voice's pace; once it is known how much sound is left, at the pace that ends with it."""

    def __init__(self, length_ms: float, pace: SpeakingRate, step_ms: float) -> None:
        self._length_ms = length_ms
        self._advance_ms = step_ms * pace.speed
        self._steps = 0
        self._position = 0.0

    def step(self, pcm: bytes, left: int | None) -> float:
        """See `Follower`."""
        self._steps += 1
        if left is None:
            self._position = min(self._position + self._advance_ms, self._length_ms)
        else:
            self._position = max(
                self._position, self._length_ms * self._steps / (self._steps + left)
            )
        return self._position

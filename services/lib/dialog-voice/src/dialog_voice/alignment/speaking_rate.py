"""Speaking rate of a voice relative to the reference, learnt from finished fragments.

It is an estimate with an uncertainty, updated like a Kalman filter: long fragments of a voice teach
more than short ones.
"""

import math
from typing import Final, Protocol

USUAL: Final = 1.1
"""Initial rate: current voices are a little faster than espeak at 165 words per minute."""

_SPREAD: Final = 0.3
"""Spread for an unknown voice: one in three is faster or slower by more than this share."""

FRAGMENT_SPREAD: Final = 0.07
"""Spread of one fragment of a known voice; measured as 0.03 to 0.08 on neural voices."""

_SHORT_MS: Final = 150.0
"""Uncertainty of the sound at the beginning and end of a fragment; short ones teach little."""

_DECAY: Final = 0.02
_PLAUSIBLE: Final = 3.0


class SpeakingRate:
    """Rate of one voice in one language.

    `mean` and `spread` are of the logarithm of its speed, in ms of the reference per ms of sound.
    """

    def __init__(self, usual: float = USUAL) -> None:
        self._usual = self.mean = math.log(usual)
        self._variance = _SPREAD**2

    @property
    def spread(self) -> float:
        """Expected deviation of the next fragment from the mean."""
        return math.sqrt(self._variance + FRAGMENT_SPREAD**2)

    @property
    def speed(self) -> float:
        """The most likely speed."""
        return math.exp(self.mean)

    def learn(self, reading_ms: float, sound_ms: float) -> None:
        """Update the rate by a fragment with this length of reference and of sound.

        An implausible ratio, as of a text that was not spoken at all, is ignored.
        """
        if min(reading_ms, sound_ms) <= 0:
            return
        measured = math.log(reading_ms / sound_ms)
        if abs(measured - self._usual) > math.log(_PLAUSIBLE):
            return
        variance = FRAGMENT_SPREAD**2 + (_SHORT_MS / sound_ms) ** 2
        weight = self._variance / (self._variance + variance)
        self.mean += weight * (measured - self.mean)
        # The variance never becomes zero: a voice's speed may change.
        self._variance = (1 - weight) * self._variance + _DECAY**2


class Aligner(Protocol):
    """Finds the position of a voice in a reference timeline."""

    def step(self, pcm: bytes, left: int | None) -> float:
        """Return the position (ms of the reference) at the end of the next 40 ms of sound.

        `left` is the number of further steps, or None while it is not known.
        """
        ...


class RateAligner:
    """Follows a reference at the voice's speaking rate.

    Once the remaining sound is known, it moves at the rate that ends together with it.
    """

    def __init__(self, length_ms: float, pace: SpeakingRate, step_ms: float) -> None:
        self._length_ms = length_ms
        self._advance_ms = step_ms * pace.speed
        self._steps = 0
        self._position = 0.0

    def step(self, pcm: bytes, left: int | None) -> float:
        """Return the position after the next step, as in `Aligner`."""
        self._steps += 1
        if left is None:
            self._position = min(self._position + self._advance_ms, self._length_ms)
        else:
            self._position = max(
                self._position, self._length_ms * self._steps / (self._steps + left)
            )
        return self._position

"""Time of a recording without its pauses.

Two synthesizers pause differently but speak words in similar proportions, so alignment compares
them on a clock that runs only while there is sound.
"""

from collections.abc import Iterable


class VoicedTime:
    """Converts between times of a recording and times of its sound.

    The pauses (from, to; ms, in order) take no time in the latter.
    """

    def __init__(self, pauses: Iterable[tuple[float, float]]) -> None:
        self._pauses = list(pauses)

    def sound(self, at_ms: float) -> float:
        """Return how many ms of sound there are before this time."""
        return at_ms - sum(min(at_ms, end) - start for start, end in self._pauses if start < at_ms)

    def at(self, sound_ms: float) -> float:
        """Return the time at which this many ms of sound have passed."""
        at_ms = sound_ms
        for start, end in self._pauses:
            if at_ms >= start:
                at_ms += end - start
        return at_ms

"""Loudness of a voice, 25 times per second.

It decides whether there is speech, and how far the mouth opens.
"""

from typing import Final

from dialog_voice.voice import BYTES_PER_MS

STEP_MS: Final = 40
STEP_BYTES: Final = STEP_MS * BYTES_PER_MS

QUIET: Final = 260.0
"""RMS below which there is no speech, of 32 768."""

_PEAK_DECAY: Final = 0.985
"""Decay per step of the reference, the loudest step of about the last two seconds."""


def rms(pcm: bytes) -> float:
    """Return the RMS of `pcm`.

    Every fourth sample is enough for a mouth, and fast without numpy.
    """
    samples = memoryview(pcm[: len(pcm) & ~1]).cast("h")[::4].tolist()
    return (
        float((sum(sample * sample for sample in samples) / len(samples)) ** 0.5)
        if samples
        else 0.0
    )


class MouthOpening:
    """Opening of the mouth during one fragment."""

    def __init__(self) -> None:
        self._peak = 2000.0

    def next_step(self, loudness: float) -> float:
        """Return the opening in the next step, 0.25 to 1; 0 in silence."""
        self._peak = max(loudness, self._peak * _PEAK_DECAY)
        return 0.25 + 0.75 * min(1.0, loudness / self._peak) if loudness >= QUIET else 0.0

"""Trims silence at both ends of a fragment while it streams.

Fragments are joined, so their pauses would add up.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

_AUDIBLE: Final = 100
"""Samples below this (-50 dB of full scale) count as silence.

A synthesizer's echo tail is lower.
"""


class SilenceTrimmer:
    """Trims one stream of `rate` Hz.

    At most `lead_ms` of silence remain in front and `tail_ms` at the end; pauses inside stay
    unchanged.
    """

    def __init__(self, rate: int, lead_ms: float, tail_ms: float) -> None:
        self._lead = int(rate * lead_ms / 1000)
        self._tail = int(rate * tail_ms / 1000)
        self._held: list[Samples] = []
        self._started = False
        self.dropped = 0
        """Number of samples removed in front; final once `push` has returned something."""

    def push(self, samples: Samples) -> Samples:
        """Return samples that are certainly inside; silence that may be the end is held back."""
        # A comparison of absolute values would overflow at -32768.
        loud = np.flatnonzero((samples > _AUDIBLE) | (samples < -_AUDIBLE))
        if not len(loud):
            self._held.append(samples)
            if not self._started:
                self._keep_lead()
            return samples[:0]
        sound_end = int(loud[-1]) + 1
        if not self._started:
            self._started = True
            before = np.concatenate([*self._held, samples[: loud[0]]])
            cut = max(0, len(before) - self._lead)
            self.dropped += cut
            ready = np.concatenate([before[cut:], samples[loud[0] : sound_end]])
        else:
            ready = np.concatenate([*self._held, samples[:sound_end]])
        self._held = [samples[sound_end:]]
        return ready

    def finish(self) -> Samples:
        """Return the end of the stream; empty when all of it was silent."""
        rest = np.concatenate(self._held) if self._held else np.zeros(0, dtype=np.int16)
        return rest[: self._tail] if self._started else rest[:0]

    def _keep_lead(self) -> None:
        """Discard silence in front beyond the lead, so that an endless pause needs no memory."""
        waiting = np.concatenate(self._held)
        cut = max(0, len(waiting) - self._lead)
        self.dropped += cut
        self._held = [waiting[cut:]]

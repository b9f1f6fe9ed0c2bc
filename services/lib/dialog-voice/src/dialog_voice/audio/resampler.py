"""Resamples espeak's 22 050 Hz to 24 000 Hz in chunks, with the same result as in one piece."""

from typing import Final

import numpy as np
import numpy.typing as npt

SOURCE_RATE: Final = 22_050
TARGET_RATE: Final = 24_000

Samples = npt.NDArray[np.int16]

# 24 000 / 22 050 = 160 / 147: output sample n is at input position n * 147 / 160, so there are 160
# phases of the filter.
_UP: Final = 160
_DOWN: Final = 147
_TAPS: Final = 16
_BEFORE: Final = _TAPS // 2 - 1
# A little below the source's Nyquist frequency: above it are mirror images that sound metallic.
_CUTOFF: Final = 0.94


def _filter_bank() -> npt.NDArray[np.float32]:
    """Return coefficients [phase, tap]; every row sums to 1.

    Each row is a windowed sinc around one of the 160 positions between two input samples.
    """
    phase = np.arange(_UP)[:, None] / _UP
    distance = np.arange(_TAPS)[None, :] - _BEFORE - phase
    window = np.cos(np.pi * distance / (_TAPS + 1)) ** 2
    bank = np.sinc(_CUTOFF * distance) * window
    return np.asarray(bank / bank.sum(axis=1, keepdims=True), dtype=np.float32)


_BANK: Final = _filter_bank()


class Resampler:
    """Resamples one stream.

    Output sample 0 is input sample 0: the filter's own delay is compensated, so offsets stay
    correct.
    """

    def __init__(self) -> None:
        self._pending: npt.NDArray[np.float32] = np.zeros(_BEFORE, dtype=np.float32)
        # Input position of _pending[_BEFORE], and number of the next output sample.
        self._base = 0
        self._next = 0
        self._received = 0

    def push(self, samples: Samples) -> Samples:
        """Return the samples that are final; the last 8 input samples wait for their successors."""
        self._received += len(samples)
        self._pending = np.concatenate([self._pending, samples.astype(np.float32)])
        return self._produce(self._base + len(self._pending) - _TAPS + 1)

    def finish(self) -> Samples:
        """Return the rest; in total there are ceil(received * 160 / 147) samples."""
        self._pending = np.concatenate([self._pending, np.zeros(_TAPS, dtype=np.float32)])
        return self._produce(self._received)

    def _produce(self, end: int) -> Samples:
        """Return all output samples whose input position is below `end`."""
        stop = -(-end * _UP // _DOWN)
        if stop <= self._next:
            return np.zeros(0, dtype=np.int16)
        positions = np.arange(self._next, stop, dtype=np.int64) * _DOWN
        first = positions // _UP - self._base
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, _TAPS)
        values = np.einsum("ij,ij->i", windows[first], _BANK[positions % _UP])
        self._next = stop
        used = stop * _DOWN // _UP - self._base
        self._pending = self._pending[used:]
        self._base += used
        return np.asarray(np.clip(np.rint(values), -32768, 32767), dtype=np.int16)

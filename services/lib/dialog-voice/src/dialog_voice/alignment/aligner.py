"""Online alignment of a voice with a reference, by spectrum.

A vendor's voice sends audio without word times, but captions, mouth shapes and the played text need
them. Two speakers of the same text make the same sounds in the same order, so the audio is compared
with a reference synthesis whose word times are known.

The aligner keeps a probability for each position in the reference at each speed. With every 40 ms
of sound all probabilities move on at their speed, and those whose reference sounds different
decrease. The speed of the first fragment, which is unknown, becomes clear within a few words. Once
the end is known, positions from which the speed leads to the end gain weight. There is no I/O; a
step takes about 0.1 ms.

A fixed speaking rate (`speaking_rate.RateAligner`) is simpler but far less accurate. Both were
measured against the durations that Kokoro, a neural voice, reports: 240 fragments, five voices, 95
to 320 words and 130 to 430 Chinese characters per minute, checked every 40 ms. Share in percent of
checks that were more than one word off / more than two words off:

| | English | Chinese |
|---|---|---|
| end known | 0.5 / 0.0 | 4 / 1 |
| real time, known voice | 2 / 0.2 | 5 / 2 |
| real time, new voice | 4 / 1 | 7 / 3 |
| fixed rate | 37 / 22 | 53 / 37 |

The bands are in `mel_bands.py`, the reference in `reference_synthesis.py`, and the use of positions
in `segment.py`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from dialog_voice.alignment.mel_bands import Bands, bands_of
from dialog_voice.alignment.speaking_rate import SpeakingRate
from dialog_voice.audio.loudness import STEP_BYTES, STEP_MS

_Grid = npt.NDArray[np.float32]

_SPEEDS: Final = (0.5 * 1.14 ** np.arange(12)).astype(np.float32)
"""0.5 to 2.1 times the reference's speed, in steps smaller than the variation within a fragment."""

_WANDER: Final = 0.15
"""Probability to be one place behind, or ahead, of a speed, which is never kept exactly."""

_FASTEST: Final = 4
"""Largest number of places in one step; the deviation and one place back come on top."""

_TRUST: Final = 1.5
"""Weight of the spectrum of a step.

A place with an identical spectrum gains e to this power over one that has nothing in common. With
more, a syllable that the voice pronounces differently leads astray; measured on neural voices.
"""

_FAINT: Final = 0.5
"""Sounds whose bands stand out less than this share of the median count less.

Examples are a hum, a breath, or the end of a vowel.
"""

_COLOUR_STEPS: Final = 5
"""Number of steps over which spectra gain weight.

Before that, the average spectrum of the voice is not yet distinct from its sounds.
"""

_AFTER_THE_END: Final = 0.5
"""Factor per step of sound after the end of the reference."""

_END_STEPS: Final = 3.0
"""Deviation in steps between the end of the last word and the end of the sound."""

_LEAST: Final = 1e-20
"""Probability that is added everywhere, so that no position becomes impossible."""


def _moves() -> _Grid:
    """Return probabilities [speed, places moved, from `_FASTEST` down to -1].

    At speed 1.3 a step is one place, or two with a probability of 0.3.
    """
    moves = np.zeros((len(_SPEEDS), _FASTEST + 2), dtype=np.float32)
    for row, speed in zip(moves, _SPEEDS, strict=True):
        whole = int(speed)
        for places, chance in ((whole, 1 - (speed - whole)), (whole + 1, speed - whole)):
            for wander, share in ((-1, _WANDER), (0, 1 - 2 * _WANDER), (1, _WANDER)):
                row[_FASTEST - places - wander] += chance * share
    return moves


_MOVES: Final = _moves()


class SpectralAligner:
    """An `Aligner` for a reference with these mel bands and this length."""

    def __init__(self, bands: Bands, length_ms: float, pace: SpeakingRate) -> None:
        self._length_ms = length_ms
        marked = np.sqrt((bands**2).sum(axis=1))
        self._faint = max(float(np.median(marked)) * _FAINT, 1e-3)
        self._reference_bands: Bands = bands / np.maximum(marked, self._faint)[:, None]
        likely = np.exp(-0.5 * ((np.log(_SPEEDS) - pace.mean) / pace.spread) ** 2)
        # Padding with zeros, so that moves need no special case at the borders.
        room = np.zeros((len(_SPEEDS), _FASTEST + len(bands) + 1), dtype=np.float32)
        self._grid: _Grid = room[:, _FASTEST:-1]
        self._grid[:, 0] = likely / likely.sum()
        self._around = np.lib.stride_tricks.sliding_window_view(room, _FASTEST + 2, axis=1)
        self._remaining = np.arange(len(bands) - 1, -1, -1, dtype=np.float32)
        self._spectrum = np.zeros(bands.shape[1], dtype=np.float32)
        self._seen = 0
        self._position = 0.0

    def step(self, pcm: bytes, left: int | None) -> float:
        """Return the position after the next step, as in `Aligner`."""
        self._move()
        # The last step of a fragment may be shorter than 40 ms.
        if len(pcm) == STEP_BYTES:
            self._weigh(bands_of(pcm)[0])
        self._grid += _LEAST
        self._grid /= self._grid.sum()
        chances = self._grid
        if left is not None:
            missed = (self._remaining - _SPEEDS[:, None] * left) ** 2 / (
                2 * _END_STEPS**2 + 4 * _WANDER * left
            )
            chances = chances * np.exp(missed.min() - missed)
        self._position = max(
            self._position, min(_median(chances.sum(axis=0)) * STEP_MS, self._length_ms)
        )
        return self._position

    def _move(self) -> None:
        moved = np.einsum("rpk,rk->rp", self._around, _MOVES)
        # Probability that would move past the beginning or the end stays there.
        moved[:, 0] += self._grid[:, 0] * _MOVES[:, -1]
        moved[:, -1] += np.maximum(self._grid.sum(axis=1) - moved.sum(axis=1), 0)
        self._grid[:] = moved

    def _weigh(self, bands: Bands) -> None:
        self._seen += 1
        # Relative to the average spectrum of the voice, which a throat, a room and a codec give it.
        self._spectrum += (bands - self._spectrum) / self._seen
        sound = bands - self._spectrum
        sound /= max(float(np.sqrt((sound**2).sum())), self._faint)
        alike = self._reference_bands @ sound * (_TRUST * self._seen / (self._seen + _COLOUR_STEPS))
        likeness = np.exp(alike - alike.max())
        likeness[-1] *= _AFTER_THE_END
        self._grid *= likeness


def _median(chances: npt.NDArray[np.float32]) -> float:
    """Return the median position in places, interpolated within a place."""
    until = np.cumsum(chances)
    half = float(until[-1]) / 2
    at = min(int(np.searchsorted(until, half)), len(until) - 1)
    return at + (half - float(until[at] - chances[at])) / max(float(chances[at]), 1e-30)

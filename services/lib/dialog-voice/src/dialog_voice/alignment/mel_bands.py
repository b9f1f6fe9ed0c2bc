"""Mel bands of a voice, 25 times per second, independent of the speaker.

They are the loudness of sixteen bands on the mel scale, relative to their mean: enough to tell
which of the next syllables is spoken. The module imports numpy and is therefore imported only where
it is needed.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dialog_voice.alignment.voiced_time import VoicedTime
from dialog_voice.audio.loudness import STEP_BYTES, STEP_MS
from dialog_voice.voice import SAMPLE_RATE

Bands: TypeAlias = npt.NDArray[np.float32]

_SAMPLES: Final = STEP_BYTES // 2
_SIZE: Final = 1024
_BANDS: Final = 16
_LOWEST_HZ: Final = 150.0
_HIGHEST_HZ: Final = 6500.0
_FLOOR: Final = 1e-5
"""Added to the power, so that noise below a whisper does not look like a sound."""


def _filters() -> Bands:
    """Return weights [frequency, band]: triangles on the mel scale."""
    frequencies = _mel(np.linspace(0, SAMPLE_RATE / 2, _SIZE // 2 + 1))
    lowest, highest = _mel(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
    edges = np.linspace(float(lowest), float(highest), _BANDS + 2)
    rising = (frequencies[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), dtype=np.float32)


def _mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 2595 * np.log10(1 + hertz / 700)


_FILTERS: Final = _filters()
_WINDOW: Final = np.hanning(_SAMPLES).astype(np.float32) / 32_768


def bands_of(pcm: bytes) -> Bands:
    """Return one row for each whole 40 ms of `pcm`."""
    samples = np.frombuffer(pcm[: len(pcm) - len(pcm) % STEP_BYTES], dtype="<i2").reshape(
        -1, _SAMPLES
    )
    power = np.abs(np.fft.rfft(samples * _WINDOW, _SIZE)).astype(np.float32) ** 2
    bands = np.log(power @ _FILTERS + _FLOOR)
    return np.asarray(bands - bands.mean(axis=1, keepdims=True), dtype=np.float32)


def bands_along(pcm: bytes, clock: VoicedTime, sound_ms: float) -> Bands:
    """Return one row for each 40 ms of sound in a recording, relative to the mean of all rows.

    This is what the SpectralAligner compares a voice with.
    """
    bands = bands_of(pcm)
    middles = [
        clock.at((step + 0.5) * STEP_MS) for step in range(max(1, round(sound_ms / STEP_MS)))
    ]
    rows = bands[[min(int(middle / STEP_MS), len(bands) - 1) for middle in middles]]
    return np.asarray(rows - rows.mean(axis=0), dtype=np.float32)

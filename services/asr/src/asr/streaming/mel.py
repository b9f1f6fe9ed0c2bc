"""Log-mel features as Whisper's encoder expects them; smart-turn is built on it. Only numpy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from asr.decoder import RATE, Samples

BANDS: Final = 80
HOP: Final = 160
FFT: Final = 400

_LINEAR_HZ: Final = 200 / 3
"""Hz per mel below 1 kHz; above, 27 mels are a factor of 6.4 (Slaney's scale)."""

_BEND_HZ: Final = 1_000.0
_BEND_MEL: Final = _BEND_HZ / _LINEAR_HZ
_LOG_STEP: Final = np.log(6.4) / 27


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """Return features [80, len/160] for samples of 16 kHz, about -1 to 1.5.

    They are log10 of the energy, limited to eight orders below the loudest, then scaled.
    """
    padded = np.pad(samples, FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][: len(samples) // HOP]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2
    logs = np.log10(np.maximum(_FILTERS @ power.T, 1e-10))
    return np.asarray((np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0, np.float32)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(
        mel < _BEND_MEL, mel * _LINEAR_HZ, _BEND_HZ * np.exp((mel - _BEND_MEL) * _LOG_STEP)
    )


def _filters() -> NDArray[np.float64]:
    """Return [bands, bins]: triangles between the neighbours' centres, each of the same area."""
    highest = _BEND_MEL + np.log(RATE / 2 / _BEND_HZ) / _LOG_STEP
    edges = _hz(np.linspace(0.0, highest, BANDS + 2))
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(triangles, 0.0) * 2 / (high - low)


_WINDOW: Final = np.hanning(FFT + 1)[:-1]
_FILTERS: Final = _filters()

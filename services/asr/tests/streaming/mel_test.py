import numpy as np
import pytest

from asr.decoder import RATE, Samples
from asr.streaming.mel import BANDS, log_mel


def tone(hz: float, seconds: float = 1.0) -> Samples:
    return np.sin(np.arange(int(RATE * seconds)) * 2 * np.pi * hz / RATE).astype(np.float32)


def test_the_window_of_smart_turn_has_its_shape_and_range() -> None:
    found = log_mel(np.random.default_rng(1).standard_normal(8 * RATE).astype(np.float32))
    assert found.shape == (BANDS, 800)
    assert found.dtype == np.float32
    assert found.max() - found.min() <= 2.0
    assert np.isfinite(log_mel(np.zeros(8 * RATE, np.float32))).all()


# 66.7 Hz a mel up to 1 kHz, then logarithmic; 80 bands share 45.2 mels.
@pytest.mark.parametrize(
    ("hz", "band"), [(500, 12), (1_000, 26), (2_000, 44), (4_000, 62), (7_500, 78)]
)
def test_a_tone_is_loudest_in_its_band(hz: float, band: int) -> None:
    assert abs(int(log_mel(tone(hz))[:, 50].argmax()) - band) <= 1


def test_ten_times_louder_is_half_more() -> None:
    """A factor of ten is two orders of energy, and a quarter of an order is one unit."""
    quiet, loud = log_mel(tone(500) * 0.1), log_mel(tone(500))
    assert loud.max() - quiet.max() == pytest.approx(0.5, abs=0.01)

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_voice.audio.resampler import SOURCE_RATE, TARGET_RATE, Resampler


def _sine(
    frequency: float, seconds: float, rate: int
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    time = np.arange(int(seconds * rate)) / rate
    return (12000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


@given(st.lists(st.integers(min_value=0, max_value=700), max_size=8))
@settings(max_examples=40, deadline=None)
def test_chunk_borders_change_nothing(lengths: list[int]) -> None:
    samples = _sine(440, 0.3, SOURCE_RATE)[: sum(lengths)]
    whole = Resampler()
    expected = np.concatenate([whole.push(samples), whole.finish()])
    chunked = Resampler()
    pieces, start = [], 0
    for length in lengths:
        pieces.append(chunked.push(samples[start : start + length]))
        start += length
    pieces.append(chunked.finish())
    assert np.array_equal(np.concatenate(pieces), expected)
    assert len(expected) == math.ceil(len(samples) * TARGET_RATE / SOURCE_RATE)


@pytest.mark.parametrize("frequency", [100, 440, 3000, 8000])
def test_a_tone_keeps_its_frequency_its_phase_and_its_loudness(frequency: float) -> None:
    resampler = Resampler()
    result = np.concatenate(
        [resampler.push(_sine(frequency, 0.5, SOURCE_RATE)), resampler.finish()]
    )
    expected = _sine(frequency, 0.5, TARGET_RATE)
    error = result[100 : len(expected) - 100].astype(float) - expected[100:-100]
    assert np.sqrt(np.mean(error**2)) < 12000 * 0.02


def test_full_scale_does_not_wrap_around() -> None:
    square = np.tile(np.repeat(np.array([32767, -32768], dtype=np.int16), 20), 50)
    resampler = Resampler()
    result = np.concatenate([resampler.push(square), resampler.finish()]).astype(int)
    middle_of_plateau = result[10::1][: len(result) - 20]
    assert np.abs(np.diff(middle_of_plateau)).max() < 65536
    assert result.max() == 32767
    assert result.min() == -32768

import numpy as np
import pytest

from dialog_voice.alignment.mel_bands import bands_along, bands_of
from dialog_voice.alignment.voiced_time import VoicedTime
from dialog_voice.audio.loudness import STEP_BYTES, STEP_MS


def tones(*hertz: float, ms: int = STEP_MS, loud: float = 6000) -> bytes:
    at = np.arange(24 * ms) / 24_000
    waves = np.array([np.sin(2 * np.pi * each * at) for each in hertz])
    return bytes((loud * waves.mean(axis=0)).astype("<i2"))


def test_there_is_a_row_for_each_whole_step() -> None:
    assert bands_of(tones(300, ms=2 * STEP_MS) + bytes(STEP_BYTES - 2)).shape == (2, 16)
    assert bands_of(b"").shape == (0, 16)


def test_a_sound_is_like_itself_however_loud_and_unlike_another() -> None:
    quiet, loud, other = bands_of(
        tones(400, 2000, loud=2000) + tones(400, 2000, loud=9000) + tones(800, 1200)
    )
    assert np.abs(quiet - loud).mean() < 0.5 * np.abs(loud - other).mean()


def test_along_the_sound_pauses_are_left_out_and_the_mean_is_none() -> None:
    pcm = tones(400, ms=200) + bytes(400 * 48) + tones(2500, ms=200)
    rows = bands_along(pcm, VoicedTime([(200, 600)]), 400)
    assert rows.shape == (10, 16)
    assert rows.mean(axis=0) == pytest.approx(np.zeros(16), abs=1e-5)
    assert np.abs(rows[:5] - rows[0]).max() < 0.5 < np.abs(rows[4] - rows[5]).max()

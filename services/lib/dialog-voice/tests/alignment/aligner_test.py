"""Noise as speech.

Each 40 ms of a reading is another one, and a voice that plays them at its own speed is found by
them.
"""

import numpy as np
import pytest

from dialog_voice.alignment.aligner import SpectralAligner
from dialog_voice.alignment.mel_bands import Bands, bands_of
from dialog_voice.alignment.speaking_rate import SpeakingRate
from dialog_voice.audio.loudness import STEP_BYTES, STEP_MS

PLACES = 120


def noises(seed: int) -> tuple[list[bytes], Bands]:
    dice = np.random.default_rng(seed)
    sounds = []
    for _ in range(PLACES):
        at = np.arange(STEP_BYTES // 2) / 24_000
        hertz = dice.uniform(200, 5000, size=6)
        sounds.append(
            (1500 * np.sin(2 * np.pi * hertz[:, None] * at).sum(axis=0)).astype("<i2").tobytes()
        )
    rows = bands_of(b"".join(sounds))
    return sounds, (rows - rows.mean(axis=0)).astype(np.float32)


SOUNDS, TIMBRE = noises(7)


def follow(
    speed: float, pace: SpeakingRate, *, end_known: bool, spoken: list[bytes] = SOUNDS
) -> list[float]:
    """How far the listener is off, in places, at each step."""
    listener = SpectralAligner(TIMBRE, PLACES * STEP_MS, pace)
    steps = int(PLACES / speed)
    off = []
    for step in range(steps):
        at = step * speed
        place = listener.step(
            spoken[min(int(at), PLACES - 1)], steps - 1 - step if end_known else None
        )
        off.append(place / STEP_MS - at)
    return off


@pytest.mark.parametrize("speed", [0.6, 0.8, 1.0, 1.3, 1.7])
@pytest.mark.parametrize("end_known", [False, True])
def test_a_voice_of_any_speed_is_followed_from_the_first_fragment_on(
    speed: float, end_known: bool
) -> None:
    off = follow(speed, SpeakingRate(), end_known=end_known)
    assert max(abs(each) for each in off[10:]) < 4


HUM = [SOUNDS[0]] * PLACES
OTHERS = noises(8)[0]


@pytest.mark.parametrize("speed", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("spoken", [HUM, OTHERS])
def test_where_nothing_sounds_alike_the_end_still_says_where_it_is(
    speed: float, spoken: list[bytes]
) -> None:
    known = follow(speed, SpeakingRate(), end_known=True, spoken=spoken)
    assert max(abs(each) for each in known) < 0.12 * PLACES
    assert abs(known[-1]) < 4


@pytest.mark.parametrize("spoken", [HUM, OTHERS])
def test_where_nothing_sounds_alike_a_known_voice_goes_its_pace(spoken: list[bytes]) -> None:
    pace = SpeakingRate()
    for _ in range(3):
        pace.learn(8000, 8000 / 0.7)
    off = follow(0.7, pace, end_known=False, spoken=spoken)
    assert max(abs(each) for each in off) < 0.2 * PLACES


def test_places_never_go_back_and_never_beyond_the_end() -> None:
    listener = SpectralAligner(TIMBRE[:3], 100, SpeakingRate())
    places = [
        listener.step(
            SOUNDS[number % 7][: 960 + 960 * (number % 2)], 50 - number if number > 5 else None
        )
        for number in range(50)
    ]
    assert places == sorted(places)
    assert places[-1] <= 100

import math

import pytest

from dialog_voice.alignment.speaking_rate import FRAGMENT_SPREAD, USUAL, RateAligner, SpeakingRate


def test_nobody_has_heard_a_new_voice() -> None:
    pace = SpeakingRate()
    assert pace.speed == pytest.approx(USUAL)
    assert pace.spread > 0.25


def test_one_sentence_tells_most_of_a_voice() -> None:
    pace = SpeakingRate()
    pace.learn(6000, 6000 / 0.7)
    assert pace.speed == pytest.approx(0.7, rel=0.05)
    assert FRAGMENT_SPREAD < pace.spread < 0.13


def test_three_words_tell_less_than_a_sentence() -> None:
    short, long = SpeakingRate(), SpeakingRate()
    short.learn(420, 600)
    long.learn(4200, 6000)
    assert abs(math.log(long.speed / 0.7)) < abs(math.log(short.speed / 0.7))
    assert long.spread < short.spread


def test_a_voice_that_is_told_to_hurry_is_followed() -> None:
    pace = SpeakingRate()
    for _ in range(50):
        pace.learn(4000, 4000)
    for _ in range(6):
        pace.learn(4000, 4000 / 1.5)
    assert pace.speed == pytest.approx(1.5, rel=0.12)


@pytest.mark.parametrize(
    ("reading_ms", "sound_ms"), [(4000, 0), (0, 4000), (40_000, 4000), (4000, 40_000)]
)
def test_nonsense_teaches_nothing(reading_ms: float, sound_ms: float) -> None:
    pace = SpeakingRate()
    pace.learn(reading_ms, sound_ms)
    assert pace.speed == pytest.approx(USUAL)


def test_without_the_end_a_reading_is_gone_through_at_the_voices_pace() -> None:
    follower = RateAligner(1000, SpeakingRate(0.5), 40)
    places = [follower.step(b"", None) for _ in range(60)]
    assert places[9] == pytest.approx(200)
    assert places[-1] == 1000


@pytest.mark.parametrize("left", [3, 40, 300])
def test_with_the_end_it_is_gone_through_exactly_to_it(left: int) -> None:
    follower = RateAligner(1000, SpeakingRate(), 40)
    places = [follower.step(b"", None) for _ in range(5)] + [
        follower.step(b"", left - step) for step in range(1, left + 1)
    ]
    assert places == sorted(places)
    assert places[-1] == pytest.approx(1000)
    assert places[-2] < 1000

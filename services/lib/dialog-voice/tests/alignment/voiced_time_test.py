"""Time without pauses, both ways."""

from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.alignment.voiced_time import VoicedTime


def test_pauses_take_no_time_on_the_clock_of_sound() -> None:
    clock = VoicedTime([(100, 300), (500, 550)])
    assert [clock.sound(at) for at in (0, 100, 200, 300, 500, 600)] == [0, 100, 100, 100, 300, 350]
    assert [clock.at(sound) for sound in (50, 150, 299, 320)] == [50, 350, 499, 570]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), max_size=5), st.integers(0, 3000)
)
def test_both_directions_of_the_clock_agree(steps: list[tuple[int, int]], sound_ms: int) -> None:
    pauses, at = [], 0
    for sounding, silent in steps:
        pauses.append((at + sounding, at + sounding + silent))
        at += sounding + silent
    clock = VoicedTime(pauses)
    assert clock.sound(clock.at(sound_ms)) == sound_ms

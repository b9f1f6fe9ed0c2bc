from hypothesis import given
from hypothesis import strategies as st

from vtuber_cli.restart_policy import FIRST_S, LONGEST_S, OFTEN, STEADY_S, RestartPolicy


def test_pauses_grow_to_a_limit_and_are_short_again_after_a_steady_life() -> None:
    restarts = RestartPolicy()
    assert not restarts.any
    assert [restarts.pause(1.0) for _ in range(7)] == [0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 15.0]
    assert restarts.pause(STEADY_S - 1) == LONGEST_S
    assert restarts.pause(STEADY_S) == FIRST_S
    assert restarts.any


@given(st.lists(st.floats(0, 1_000), max_size=2_000))
def test_no_pause_is_longer_than_the_longest_however_often_it_ends(lives: list[float]) -> None:
    restarts = RestartPolicy()
    for lived in lives:
        assert FIRST_S <= restarts.pause(lived) <= LONGEST_S


def test_nobody_waits_for_what_ends_for_the_fourth_time() -> None:
    restarts = RestartPolicy()
    for _ in range(OFTEN):
        assert not restarts.keeps_ending
        restarts.pause(0)
    assert restarts.keeps_ending

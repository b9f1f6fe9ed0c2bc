"""The playback clock, whatever comes in which order."""

from hypothesis import given
from hypothesis import strategies as st

from dialog_media.playback_clock import PlaybackClock


def test_the_first_chunk_sets_the_start_and_time_does_the_rest() -> None:
    clock = PlaybackClock()
    assert clock.position_ms(5_000) == 0
    assert clock.place(40, 1_040)
    assert clock.position_ms(1_500) == 500
    assert clock.time_until_ms(600, 1_500) == 100
    assert clock.time_until_ms(400, 1_500) == 0


def test_a_late_chunk_moves_the_start_and_one_within_the_slack_does_not() -> None:
    clock = PlaybackClock(1_000)
    assert not clock.place(40, 1_080, slack_ms=40)
    assert clock.place(80, 1_121, slack_ms=40)
    assert clock.position_ms(1_121) == 80


def test_a_pause_stops_the_position_and_makes_no_chunk_late() -> None:
    clock = PlaybackClock(1_000)
    clock.pause(1_200)
    clock.pause(1_900)
    assert clock.position_ms(5_000) == 200
    assert not clock.place(400, 5_000)
    clock.resume(5_000)
    assert clock.position_ms(5_100) == 300


def test_a_turn_that_is_paused_before_its_first_chunk_starts_when_it_is_resumed() -> None:
    """Before: the engine's clock counted the wait for the first chunk twice."""
    clock = PlaybackClock()
    clock.pause(100)
    assert clock.place(0, 300)
    assert clock.position_ms(400) == 0
    clock.resume(500)
    assert clock.position_ms(600) == 100


STEPS = st.lists(
    st.tuples(st.floats(0, 500), st.sampled_from(["chunk", "pause", "resume"])), max_size=60
)


@given(STEPS, st.sampled_from([0.0, 40.0]))
def test_the_position_goes_back_only_where_a_late_chunk_moves_the_start(
    steps: list[tuple[float, str]], slack_ms: float
) -> None:
    clock, now, offset, position = PlaybackClock(), 0.0, 0.0, 0.0
    for elapsed, step in steps:
        now += elapsed
        before = clock.position_ms(now)
        assert before >= position - 1e-6
        if step == "pause":
            clock.pause(now)
        elif step == "resume":
            clock.resume(now)
        else:
            moved = clock.place(offset, now, slack_ms=slack_ms)
            assert moved or clock.position_ms(now) == before
            assert clock.paused or clock.position_ms(now) <= offset + slack_ms + 1e-6
            offset += 40
        position = clock.position_ms(now)
        if step != "chunk":
            assert abs(position - before) < 1e-6, "a pause neither skips nor repeats"

from hypothesis import given
from hypothesis import strategies as st

from dialog_engine.speech.pacer import Pacer
from dialog_media.playback_clock import LEAD_MS


def test_the_first_chunk_goes_at_once_and_600_ms_follow_it() -> None:
    pacer = Pacer()
    now = 1000.0
    for offset in range(0, LEAD_MS + 1, 40):
        assert pacer.wait_ms(offset, now) == 0
        pacer.sent(offset, 40, now)
    assert pacer.wait_ms(LEAD_MS + 40, now) > 0
    assert pacer.position_ms(now + 500) == 500


def test_a_late_chunk_moves_the_clock_and_is_counted() -> None:
    pacer = Pacer()
    pacer.sent(0, 40, 1000)
    pacer.sent(40, 40, 1200)
    assert pacer.gaps == 1
    assert pacer.position_ms(1220) == 60


def test_the_ear_never_hears_more_than_was_sent() -> None:
    pacer = Pacer()
    assert pacer.position_ms(5000) == 0
    pacer.sent(0, 40, 1000)
    assert pacer.position_ms(99_000) == 40
    assert pacer.time_until_ms(40, 1010) == 30


@given(st.lists(st.floats(0, 400), min_size=1, max_size=80))
def test_nothing_is_sent_further_ahead_of_the_ear_than_the_lead(delays: list[float]) -> None:
    pacer, now = Pacer(), 0.0
    for number, delay in enumerate(delays):
        offset = number * 40
        now += delay
        now += pacer.wait_ms(offset, now)
        pacer.sent(offset, 40, now)
        assert offset - pacer.position_ms(now) <= LEAD_MS + 1e-6


def test_paused_the_ear_stands_still_and_goes_on_from_there() -> None:
    pacer = Pacer()
    for offset in range(0, LEAD_MS, 40):
        pacer.sent(offset, 40, 1000)
    pacer.pause(1200)
    assert pacer.position_ms(5000) == 200
    assert pacer.wait_ms(LEAD_MS + 160, 5000) == 0, "it was within the lead when the ear stopped"
    assert pacer.wait_ms(LEAD_MS + 240, 5000) > 0
    assert pacer.time_until_ms(240, 5000) > 0
    pacer.sent(LEAD_MS, 40, 5000)
    assert pacer.gaps == 0, "nothing is late while time stands still"
    pacer.resume(9200)
    assert pacer.position_ms(9200) == 200
    assert pacer.position_ms(9300) == 300
    assert pacer.time_until_ms(500, 9300) == 200


def test_a_reply_that_is_paused_before_its_first_chunk_has_no_gap_when_it_goes_on() -> None:
    pacer = Pacer()
    pacer.pause(100)
    pacer.sent(0, 40, 300)
    pacer.resume(500)
    pacer.sent(40, 40, 530)
    assert pacer.gaps == 0
    assert pacer.position_ms(530) == 30

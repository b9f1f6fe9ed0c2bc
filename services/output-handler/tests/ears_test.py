from hypothesis import given
from hypothesis import strategies as st

from output_handler.ears import AHEAD_MS, FRESH_MS, Ears


def heard(*reports: tuple[str, float], now: float = 1_000.0, speaker: str = "") -> Ears[str]:
    ears: Ears[str] = Ears()
    for viewer, offset in reports:
        assert ears.note(
            viewer, offset, now, clock_ms=10_000, sent_ms=10_000, speaker=viewer == speaker
        )
    return ears


def test_nobody_has_reported() -> None:
    assert Ears[str]().position(0) is None


def test_the_ear_is_the_median_viewer_and_goes_on_by_itself() -> None:
    ears = heard(("a", 100), ("b", 900), ("c", 300))
    assert ears.position(1_000) == 300
    assert ears.position(1_150) == 450


def test_whoever_spoke_decides() -> None:
    assert heard(("a", 100), ("b", 900), ("c", 300), speaker="b").position(1_000) == 900


def test_one_that_fell_silent_or_left_does_not_count() -> None:
    ears = heard(("a", 100), speaker="a")
    assert ears.note("b", 700, 1_800, clock_ms=10_000, sent_ms=10_000)
    assert ears.position(1_000 + FRESH_MS) == 1_100
    assert ears.position(1_001 + FRESH_MS) == 700 + 201
    ears.forget("b")
    assert ears.position(1_001 + FRESH_MS) is None


@given(st.floats(0, 1e7), st.floats(0, 1e6), st.floats(0, 1e6))
def test_nothing_from_the_future_is_believed(offset: float, clock: float, sent: float) -> None:
    ears: Ears[str] = Ears()
    taken = ears.note("a", offset, 0, clock_ms=clock, sent_ms=sent)
    assert taken is (offset <= sent and offset <= clock + AHEAD_MS)
    assert ears.position(0) == (offset if taken else None)


def test_it_says_whether_the_speaker_is_here_and_how_many_report() -> None:
    ears: Ears[str] = Ears()
    ears.note("a", 100, 0.0, clock_ms=100, sent_ms=1_000)
    assert (ears.speaker_reports(0.0), ears.count(0.0)) == (False, 1)
    ears.note("b", 100, 500.0, clock_ms=100, sent_ms=1_000, speaker=True)
    assert (ears.speaker_reports(500.0), ears.count(500.0)) == (True, 2)
    assert (ears.speaker_reports(1_200.0), ears.count(1_200.0)) == (True, 1)
    assert (ears.speaker_reports(2_000.0), ears.count(2_000.0)) == (False, 0)

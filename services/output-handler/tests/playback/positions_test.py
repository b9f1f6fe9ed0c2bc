from hypothesis import given
from hypothesis import strategies as st

from output_handler.playback.positions import FRESH_MS, MAX_AHEAD_MS, ViewerPositions


def heard(
    *reports: tuple[str, float], now: float = 1_000.0, speaker: str = ""
) -> ViewerPositions[str]:
    ears: ViewerPositions[str] = ViewerPositions()
    for viewer, offset in reports:
        assert ears.report(
            viewer, offset, now, clock_ms=10_000, sent_ms=10_000, speaker=viewer == speaker
        )
    return ears


def test_nobody_has_reported() -> None:
    assert ViewerPositions[str]().current(0) is None


def test_the_ear_is_the_median_viewer_and_goes_on_by_itself() -> None:
    ears = heard(("a", 100), ("b", 900), ("c", 300))
    assert ears.current(1_000) == 300
    assert ears.current(1_150) == 450


def test_whoever_spoke_decides() -> None:
    assert heard(("a", 100), ("b", 900), ("c", 300), speaker="b").current(1_000) == 900


def test_one_that_fell_silent_or_left_does_not_count() -> None:
    ears = heard(("a", 100), speaker="a")
    assert ears.report("b", 700, 1_800, clock_ms=10_000, sent_ms=10_000)
    assert ears.current(1_000 + FRESH_MS) == 1_100
    assert ears.current(1_001 + FRESH_MS) == 700 + 201
    ears.remove("b")
    assert ears.current(1_001 + FRESH_MS) is None


@given(st.floats(0, 1e7), st.floats(0, 1e6), st.floats(0, 1e6))
def test_nothing_from_the_future_is_believed(offset: float, clock: float, sent: float) -> None:
    ears: ViewerPositions[str] = ViewerPositions()
    taken = ears.report("a", offset, 0, clock_ms=clock, sent_ms=sent)
    assert taken is (offset <= sent and offset <= clock + MAX_AHEAD_MS)
    assert ears.current(0) == (offset if taken else None)


def test_it_says_whether_the_speaker_is_here_and_how_many_report() -> None:
    ears: ViewerPositions[str] = ViewerPositions()
    ears.report("a", 100, 0.0, clock_ms=100, sent_ms=1_000)
    assert (ears.speaker_reports(0.0), ears.count(0.0)) == (False, 1)
    ears.report("b", 100, 500.0, clock_ms=100, sent_ms=1_000, speaker=True)
    assert (ears.speaker_reports(500.0), ears.count(500.0)) == (True, 2)
    assert (ears.speaker_reports(1_200.0), ears.count(1_200.0)) == (True, 1)
    assert (ears.speaker_reports(2_000.0), ears.count(2_000.0)) == (False, 0)

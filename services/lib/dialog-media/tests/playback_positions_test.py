from hypothesis import given
from hypothesis import strategies as st

from dialog_media.playback_positions import FRESH_MS, PlaybackPositions


def reports() -> PlaybackPositions[object]:
    """As the engine collects them."""
    return PlaybackPositions(keep_last=True)


def of_viewers(
    *said: tuple[str, float], now: float = 1_000.0, speaker: str = ""
) -> PlaybackPositions[str]:
    """As output-handler collects them."""
    positions: PlaybackPositions[str] = PlaybackPositions()
    for viewer, offset in said:
        positions.report(viewer, offset, now, speaker=viewer == speaker)
    return positions


def test_nobody_has_reported() -> None:
    assert reports().current(5.0) is None


def test_a_report_goes_on_with_time() -> None:
    positions = reports()
    positions.report("a", 1_000, 10.0)
    assert positions.current(110.0) == 1_100


def test_whoever_spoke_decides_wherever_it_is_connected_and_whoever_reports_last() -> None:
    positions = reports()
    positions.report("a", 4_900, 100.0, speaker=True)
    positions.report("b", 2_900, 150.0, viewers=40)
    assert positions.current(200.0) == 5_000


def test_without_the_speaker_the_median_viewer_over_all_output_handlers_decides() -> None:
    positions = reports()
    positions.report("a", 1_000, 0.0, viewers=1)
    positions.report("b", 3_000, 0.0, viewers=5)
    positions.report("c", 2_000, 0.0, viewers=2)
    assert positions.current(0.0) == 3_000
    positions.report("a", 1_000, 0.0, viewers=20)
    assert positions.current(0.0) == 1_000


def test_an_output_handler_that_reports_no_more_has_no_say() -> None:
    positions = reports()
    positions.report("a", 9_000, 0.0, speaker=True)
    positions.report("b", 3_000, FRESH_MS + 1.0)
    assert positions.current(FRESH_MS + 1.0) == 3_000
    positions.clear()
    assert positions.current(FRESH_MS + 2.0) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 9_000), st.integers(1, 50), st.booleans()),
        min_size=1,
    ),
    st.floats(0, 500),
)
def test_the_position_is_one_that_some_output_handler_says(
    said: list[tuple[int, float, int, bool]], later: float
) -> None:
    positions, last = reports(), {}
    for source, offset, viewers, speaker in said:
        positions.report(source, offset, 0.0, viewers=viewers, speaker=speaker)
        last[source] = (offset, speaker)
    deciding = [offset for offset, speaker in last.values() if speaker] or [
        offset for offset, _ in last.values()
    ]
    found = positions.current(later)
    assert found is not None
    assert any(abs(found - later - offset) < 1e-6 for offset in deciding)


def test_the_median_viewer_decides_and_goes_on_by_itself() -> None:
    positions = of_viewers(("a", 100), ("b", 900), ("c", 300))
    assert positions.current(1_000) == 300
    assert positions.current(1_150) == 450
    assert of_viewers(("a", 100), ("b", 900)).current(1_000) == 100


def test_the_client_whose_user_spoke_decides() -> None:
    assert of_viewers(("a", 100), ("b", 900), ("c", 300), speaker="b").current(1_000) == 900


def test_a_viewer_that_fell_silent_or_left_does_not_count() -> None:
    positions = of_viewers(("a", 100), speaker="a")
    positions.report("b", 700, 1_800)
    assert positions.current(1_000 + FRESH_MS) == 1_100
    assert positions.current(1_001 + FRESH_MS) == 700 + 201
    positions.remove("b")
    assert positions.current(1_001 + FRESH_MS) is None


def test_the_last_report_counts_where_it_is_kept() -> None:
    positions = reports()
    positions.report("a", 100, 0.0)
    assert positions.current(10 * FRESH_MS) == 100 + 10 * FRESH_MS


def test_it_says_whether_the_speaker_reports_and_how_many_do() -> None:
    positions: PlaybackPositions[str] = PlaybackPositions()
    positions.report("a", 100, 0.0)
    assert (positions.speaker_reports(0.0), positions.count(0.0)) == (False, 1)
    positions.report("b", 100, 500.0, speaker=True, viewers=3)
    assert (positions.speaker_reports(500.0), positions.count(500.0)) == (True, 4)
    assert (positions.speaker_reports(1_200.0), positions.count(1_200.0)) == (True, 3)
    assert (positions.speaker_reports(2_000.0), positions.count(2_000.0)) == (False, 0)

from hypothesis import given
from hypothesis import strategies as st

from dialog_engine.speech.playback_positions import FRESH_MS, PlaybackPositions


def test_nobody_has_reported() -> None:
    assert PlaybackPositions().current(5.0) is None


def test_a_report_goes_on_with_time() -> None:
    ears = PlaybackPositions()
    ears.report("a", 1_000, 10.0)
    assert ears.current(110.0) == 1_100


def test_whoever_spoke_decides_wherever_it_is_connected_and_whoever_reports_last() -> None:
    ears = PlaybackPositions()
    ears.report("a", 4_900, 100.0, speaker=True)
    ears.report("b", 2_900, 150.0, viewers=40)
    assert ears.current(200.0) == 5_000


def test_without_the_speaker_the_median_viewer_over_all_output_handlers_decides() -> None:
    ears = PlaybackPositions()
    ears.report("a", 1_000, 0.0, viewers=1)
    ears.report("b", 3_000, 0.0, viewers=5)
    ears.report("c", 2_000, 0.0, viewers=2)
    assert ears.current(0.0) == 3_000
    ears.report("a", 1_000, 0.0, viewers=20)
    assert ears.current(0.0) == 1_000


def test_an_output_handler_that_reports_no_more_has_no_say() -> None:
    ears = PlaybackPositions()
    ears.report("a", 9_000, 0.0, speaker=True)
    ears.report("b", 3_000, FRESH_MS + 1.0)
    assert ears.current(FRESH_MS + 1.0) == 3_000
    ears.clear()
    assert ears.current(FRESH_MS + 2.0) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 9_000), st.integers(1, 50), st.booleans()),
        min_size=1,
    ),
    st.floats(0, 500),
)
def test_the_ear_is_where_some_output_handler_says(
    reports: list[tuple[int, float, int, bool]], later: float
) -> None:
    ears, last = PlaybackPositions(), {}
    for source, offset, viewers, speaker in reports:
        ears.report(source, offset, 0.0, viewers=viewers, speaker=speaker)
        last[source] = (offset, speaker)
    deciding = [offset for offset, speaker in last.values() if speaker] or [
        offset for offset, _ in last.values()
    ]
    found = ears.current(later)
    assert found is not None
    assert any(abs(found - later - offset) < 1e-6 for offset in deciding)

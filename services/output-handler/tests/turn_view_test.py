import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet
from dialog_contracts.viewer import Phase
from output_handler.turn_view import KEPT_MS, LATE_MS, Sound, TurnView


@pytest.fixture
def view() -> TurnView:
    return TurnView(turn=1, flags=FlagSet(), started_at=1000.0, start_json="{}")


def sound(seq: int, offset_ms: int, duration_ms: int = 40) -> Sound:
    return Sound(seq, offset_ms, duration_ms, "{}")


def test_chunks_in_order_have_no_gap(view: TurnView) -> None:
    assert [view.gap(seq) for seq in range(5)] == [0, 0, 0, 0, 0]


def test_the_first_chunk_of_a_late_subscriber_is_its_baseline(view: TurnView) -> None:
    assert view.gap(17) == 0
    assert view.gap(18) == 0


def test_missing_chunks_are_counted_once(view: TurnView) -> None:
    view.gap(0)
    assert view.gap(4) == 3
    assert view.gap(5) == 0


@given(st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=40))
def test_a_chunk_seen_before_or_come_late_is_told_and_never_counted_as_a_gap(
    seqs: list[int],
) -> None:
    made = TurnView(turn=1, flags=FlagSet(), started_at=0, start_json="{}")
    highest = None
    for seq in seqs:
        found = made.gap(seq)
        if highest is None:
            assert found == 0
        elif seq <= highest:
            assert found == -1
        else:
            assert found == seq - highest - 1
        highest = seq if highest is None else max(seq, highest)


def test_the_first_chunk_starts_the_clock(view: TurnView) -> None:
    assert view.schedule(0, 40, 2000.0)
    assert (view.zero_ms, view.phase, view.sent_ms) == (2000.0, Phase.SPEAKING, 40)


def test_the_clock_moves_only_for_a_chunk_that_is_later_than_viewers_hold_back(
    view: TurnView,
) -> None:
    view.schedule(0, 40, 2000.0)
    assert not view.schedule(40, 40, 2040.0 + LATE_MS)
    assert view.zero_ms == 2000.0
    assert view.schedule(80, 40, 2080.0 + LATE_MS + 1)
    assert view.zero_ms == 2000.0 + LATE_MS + 1
    assert not view.schedule(120, 40, 2100.0)


def test_a_chunk_from_the_past_does_not_shorten_what_was_sent(view: TurnView) -> None:
    view.schedule(0, 40, 0.0)
    view.schedule(400, 40, 0.0)
    view.schedule(80, 40, 0.0)
    assert view.sent_ms == 440


def test_speech_of_a_turn_joined_in_its_middle_is_announced_without_moving_the_clock(
    view: TurnView,
) -> None:
    view.zero_ms = 500.0
    assert view.schedule(1000, 40, 1400.0)
    assert (view.zero_ms, view.phase) == (500.0, Phase.SPEAKING)
    assert not view.schedule(1040, 40, 1400.0)


def test_a_late_viewer_gets_what_still_sounds_or_will(view: TurnView) -> None:
    for seq in range(10):
        view.schedule(seq * 40, 40, 1000.0)
        view.keep(sound(seq, seq * 40), 1000.0)
    assert [one.seq for one in view.upcoming(1000.0)] == list(range(10))
    assert [one.seq for one in view.upcoming(1100.0)] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert view.upcoming(1400.0) == []


def test_chunks_long_past_are_forgotten(view: TurnView) -> None:
    view.schedule(0, 40, 0.0)
    for seq in range(200):
        view.keep(sound(seq, seq * 40), float(seq * 40))
    assert len(view.recent) <= KEPT_MS / 40 + 2
    assert view.recent[-1].seq == 199


def test_a_stop_silences_thinking_speaking_and_what_was_sent_but_not_heard(view: TurnView) -> None:
    assert view.sounding(1000.0)
    view.schedule(0, 400, 2000.0)
    view.ended = True
    assert view.sounding(2399.0)
    assert not view.sounding(2400.0)
    view.ended, view.stopped = False, True
    assert not view.sounding(2000.0)


@pytest.mark.parametrize(
    ("text", "share", "heard"),
    [
        ("Tonight we play a riddle.", 0.0, ""),
        ("Tonight we play a riddle.", 0.1, "Tonight"),
        ("Tonight we play a riddle.", 0.5, "Tonight we play"),
        ("Don't stop", 0.15, "Don't"),
        ("今晚玩解谜", 0.5, "今晚"),
        ("今晚 play 解谜", 0.4, "今晚 play"),
        ("Tonight we play a riddle.", 1.0, "Tonight we play a riddle."),
    ],
)
def test_of_a_file_the_words_that_had_begun_are_heard(
    view: TurnView, text: str, share: float, heard: str
) -> None:
    view.text, view.whole_ms, view.zero_ms = text, 1_000, 5_000.0
    assert view.heard_text(5_000 + 1_000 * share).strip() == heard

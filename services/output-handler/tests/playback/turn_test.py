import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet
from dialog_contracts.viewer import Phase
from output_handler.playback.turn import (
    LATE_JOIN_BUFFER_MS,
    MAX_CLOCK_ERROR_MS,
    MAX_LATE_MS,
    AudioFrame,
    Delivery,
    PlaybackTurn,
)


@pytest.fixture
def view() -> PlaybackTurn:
    return PlaybackTurn(number=1, flags=FlagSet(), opened_at_ms=1000.0, start_json="{}")


def sound(seq: int, offset_ms: int, duration_ms: int = 40) -> AudioFrame:
    return AudioFrame(seq, offset_ms, duration_ms, "{}")


def test_chunks_in_order_have_no_gap(view: PlaybackTurn) -> None:
    assert [view.check_sequence(seq) for seq in range(5)] == [0, 0, 0, 0, 0]


def test_the_first_chunk_of_a_late_subscriber_is_its_baseline(view: PlaybackTurn) -> None:
    assert view.check_sequence(17) == 0
    assert view.check_sequence(18) == 0


def test_missing_chunks_are_counted_once(view: PlaybackTurn) -> None:
    view.check_sequence(0)
    assert view.check_sequence(4) == 3
    assert view.check_sequence(5) == 0


@given(st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=40))
def test_a_chunk_seen_before_or_come_late_is_told_and_never_counted_as_a_gap(
    seqs: list[int],
) -> None:
    made = PlaybackTurn(number=1, flags=FlagSet(), opened_at_ms=0, start_json="{}")
    highest = None
    for seq in seqs:
        found = made.check_sequence(seq)
        if highest is None:
            assert found == 0
        elif seq <= highest:
            assert found == -1
        else:
            assert found == seq - highest - 1
        highest = seq if highest is None else max(seq, highest)


def test_the_first_chunk_starts_the_clock(view: PlaybackTurn) -> None:
    assert view.schedule(0, 40, 2000.0)
    assert (view.audio_started_at_ms, view.phase, view.sent_ms) == (2000.0, Phase.SPEAKING, 40)


def test_the_clock_moves_only_for_a_chunk_that_is_later_than_viewers_hold_back(
    view: PlaybackTurn,
) -> None:
    view.schedule(0, 40, 2000.0)
    assert not view.schedule(40, 40, 2040.0 + MAX_LATE_MS)
    assert view.audio_started_at_ms == 2000.0
    assert view.schedule(80, 40, 2080.0 + MAX_LATE_MS + 1)
    assert view.audio_started_at_ms == 2000.0 + MAX_LATE_MS + 1
    assert not view.schedule(120, 40, 2100.0)


def test_a_chunk_from_the_past_does_not_shorten_what_was_sent(view: PlaybackTurn) -> None:
    view.schedule(0, 40, 0.0)
    view.schedule(400, 40, 0.0)
    view.schedule(80, 40, 0.0)
    assert view.sent_ms == 440


def test_speech_of_a_turn_joined_in_its_middle_is_announced_without_moving_the_clock(
    view: PlaybackTurn,
) -> None:
    view.clock.started_at_ms = 500.0
    assert view.schedule(1000, 40, 1400.0)
    assert (view.audio_started_at_ms, view.phase) == (500.0, Phase.SPEAKING)
    assert not view.schedule(1040, 40, 1400.0)


def test_a_late_viewer_gets_what_still_sounds_or_will(view: PlaybackTurn) -> None:
    for seq in range(10):
        view.schedule(seq * 40, 40, 1000.0)
        view.buffer(sound(seq, seq * 40), 1000.0)
    assert [one.seq for one in view.upcoming(1000.0)] == list(range(10))
    assert [one.seq for one in view.upcoming(1100.0)] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert view.upcoming(1400.0) == []


def test_chunks_long_past_are_forgotten(view: PlaybackTurn) -> None:
    view.schedule(0, 40, 0.0)
    for seq in range(200):
        view.buffer(sound(seq, seq * 40), float(seq * 40))
    assert len(view.recent) <= LATE_JOIN_BUFFER_MS / 40 + 2
    assert view.recent[-1].seq == 199


def test_a_stop_silences_thinking_speaking_and_what_was_sent_but_not_heard(
    view: PlaybackTurn,
) -> None:
    assert view.playing(1000.0)
    view.schedule(0, 400, 2000.0)
    view.delivery = Delivery.ENDED
    assert view.playing(2399.0)
    assert not view.playing(2400.0)
    view.delivery = Delivery.STOPPING
    assert not view.playing(2000.0)


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
    view: PlaybackTurn, text: str, share: float, heard: str
) -> None:
    view.text, view.file_ms, view.clock.started_at_ms = text, 1_000, 5_000.0
    assert view.played_text(5_000 + 1_000 * share).strip() == heard


@given(st.floats(0, 1e7), st.floats(0, 1e6), st.integers(0, 1_000_000))
def test_a_position_from_the_future_is_not_believed(offset: float, clock: float, sent: int) -> None:
    view = PlaybackTurn.none()
    view.clock.started_at_ms, view.sent_ms = 0.0, sent
    believed = view.may_have_played(offset, clock)
    assert believed is (offset <= sent and offset <= clock + MAX_CLOCK_ERROR_MS)

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet
from dialog_media.playback_clock import PlaybackClock
from output_handler.legacy import response_queue
from output_handler.legacy.response_queue import Disposition, PendingResponse, ResponseQueue, decide
from output_handler.playback.turn import AudioSource, Delivery, PlaybackTurn
from output_handler.testing.fake_legacy import response


def view(turn: int = 5, **state: Any) -> PlaybackTurn:
    made = PlaybackTurn(number=turn, flags=FlagSet(), opened_at_ms=0.0, start_json="")
    for name, value in state.items():
        setattr(made, name, value)
    return made


SPEAKING: dict[str, Any] = {"clock": PlaybackClock(0.0), "sent_ms": 2_000}


@pytest.mark.parametrize(
    ("turn", "present", "now", "expected"),
    [
        (None, view(), 0, Disposition.ASIDE),
        (1, PlaybackTurn.none(), 0, Disposition.TURN),
        (4, view(), 0, Disposition.LATE),
        (6, view(), 0, Disposition.TURN),
        (6, view(**SPEAKING), 1_999, Disposition.WAIT),
        (6, view(**SPEAKING), 2_000, Disposition.TURN),
        (6, view(**SPEAKING, delivery=Delivery.STOPPED), 100, Disposition.TURN),
        (6, view(source=AudioSource.FILE_AWAITED), 0, Disposition.WAIT),
        (5, view(), 0, Disposition.TURN),
        (5, view(delivery=Delivery.ENDED), 0, Disposition.TURN),
        (5, view(text="今"), 0, Disposition.LATE),
        (5, view(source=AudioSource.FILE), 0, Disposition.LATE),
        (5, view(delivery=Delivery.STOPPED), 0, Disposition.TURN),
        (5, view(delivery=Delivery.STOPPED, interrupted=True), 0, Disposition.LATE),
        (6, view(delivery=Delivery.STOPPED, interrupted=True), 0, Disposition.TURN),
    ],
)
def test_what_becomes_of_an_answer(
    turn: int | None, present: PlaybackTurn, now: float, expected: Disposition
) -> None:
    assert decide(PendingResponse(response(turn), live=True), present, now) is expected


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (view(text="今晚"), Disposition.WAIT),
        (view(text="今晚", source=AudioSource.FILE_AWAITED), Disposition.VOICE),
        (view(text="今晚", delivery=Delivery.ENDED), Disposition.LATE),
        (view(text="今晚", source=AudioSource.FILE, delivery=Delivery.ENDED), Disposition.LATE),
        (view(4), Disposition.TURN),
        (PlaybackTurn.none(), Disposition.TURN),
    ],
)
def test_the_voice_of_an_engines_turn_belongs_to_that_turn(
    present: PlaybackTurn, expected: Disposition
) -> None:
    assert decide(PendingResponse(response(5, of_engine=True), live=True), present, 0) is expected


def test_what_nobody_was_there_to_hear_may_be_told_again() -> None:
    letter = PendingResponse(response(5), live=False, redelivered=True)
    assert (
        decide(letter, view(source=AudioSource.FILE, delivery=Delivery.ENDED), 0)
        is Disposition.TURN
    )
    assert decide(letter, view(6), 0) is Disposition.LATE


@given(st.lists(st.integers(1, 40), max_size=60))
def test_letters_come_in_the_order_of_their_turns_each_once(turns: list[int]) -> None:
    box = ResponseQueue()
    for turn in turns:
        assert box.add(PendingResponse(response(turn), live=True)) is None
    taken = []
    while (letter := box.remove(box.first())) is not None:
        taken.append(letter.turn)
    assert taken == sorted(set(turns))


def test_the_box_is_bounded_and_the_oldest_goes() -> None:
    box = ResponseQueue()
    for turn in range(1, response_queue.MAX_PENDING + 1):
        assert box.add(PendingResponse(response(turn), live=True)) is None
    dropped = box.add(PendingResponse(response(1_000), live=True))
    assert dropped is not None
    assert dropped.turn == 1
    assert len(box) == response_queue.MAX_PENDING


def test_what_waited_is_looked_up_and_what_came_live_is_certain() -> None:
    box = ResponseQueue()
    box.add(PendingResponse(response(1), live=False))
    box.add(PendingResponse(response(2), live=False))
    box.add(PendingResponse(response(3), live=True))
    assert box.unconfirmed
    gone = box.drop_delivered_elsewhere({"live-001#1", "live-001#3"})
    assert [letter.turn for letter in gone] == [1]
    box.confirm_all()
    assert not box.unconfirmed
    assert len(box) == 2


def test_of_what_was_answered_while_nobody_was_there_only_the_newest_is_told() -> None:
    box = ResponseQueue()
    for turn in (1, 2, 3):
        box.add(PendingResponse(response(turn), live=False))
    assert [letter.turn for letter in box.drop_superseded()] == [1, 2]
    box.add(PendingResponse(response(4), live=True))
    assert [letter.turn for letter in box.drop_superseded()] == [3], "the conversation has gone on"
    assert len(box) == 1
    box.confirm_all()
    assert box.drop_superseded() == []

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet
from output_handler import mailbox
from output_handler.mailbox import Fate, Letter, Mailbox, fate
from output_handler.testing.post import answer
from output_handler.turn_view import TurnView


def view(turn: int = 5, **state: Any) -> TurnView:
    made = TurnView(turn=turn, flags=FlagSet(), started_at=0.0, start_json="")
    for name, value in state.items():
        setattr(made, name, value)
    return made


SPEAKING: dict[str, Any] = {"zero_ms": 0.0, "sent_ms": 2_000}


@pytest.mark.parametrize(
    ("turn", "present", "now", "expected"),
    [
        (None, view(), 0, Fate.ASIDE),
        (1, None, 0, Fate.TURN),
        (4, view(), 0, Fate.LATE),
        (6, view(), 0, Fate.TURN),
        (6, view(**SPEAKING), 1_999, Fate.WAIT),
        (6, view(**SPEAKING), 2_000, Fate.TURN),
        (6, view(**SPEAKING, stopped=True), 100, Fate.TURN),
        (6, view(awaits_voice=True, from_file=True), 0, Fate.WAIT),
        (5, view(), 0, Fate.TURN),
        (5, view(ended=True), 0, Fate.TURN),
        (5, view(text="今"), 0, Fate.LATE),
        (5, view(from_file=True), 0, Fate.LATE),
        (5, view(stopped=True, ended=True), 0, Fate.TURN),
        (5, view(stopped=True, ended=True, interrupted=True), 0, Fate.LATE),
        (6, view(stopped=True, ended=True, interrupted=True), 0, Fate.TURN),
    ],
)
def test_what_becomes_of_an_answer(
    turn: int | None, present: TurnView | None, now: float, expected: Fate
) -> None:
    assert fate(Letter(answer(turn), live=True), present, now) is expected


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (view(text="今晚"), Fate.WAIT),
        (view(text="今晚", from_file=True, awaits_voice=True), Fate.VOICE),
        (view(text="今晚", ended=True), Fate.LATE),
        (view(text="今晚", from_file=True, ended=True), Fate.LATE),
        (view(4), Fate.TURN),
        (None, Fate.TURN),
    ],
)
def test_the_voice_of_an_engines_turn_belongs_to_that_turn(
    present: TurnView | None, expected: Fate
) -> None:
    assert fate(Letter(answer(5, of_engine=True), live=True), present, 0) is expected


def test_what_nobody_was_there_to_hear_may_be_told_again() -> None:
    letter = Letter(answer(5), live=False, again=True)
    assert fate(letter, view(from_file=True, ended=True), 0) is Fate.TURN
    assert fate(letter, view(6), 0) is Fate.LATE


@given(st.lists(st.integers(1, 40), max_size=60))
def test_letters_come_in_the_order_of_their_turns_each_once(turns: list[int]) -> None:
    box = Mailbox()
    for turn in turns:
        assert box.put(Letter(answer(turn), live=True)) is None
    taken = []
    while (letter := box.take(box.first())) is not None:
        taken.append(letter.turn)
    assert taken == sorted(set(turns))


def test_the_box_is_bounded_and_the_oldest_goes() -> None:
    box = Mailbox()
    for turn in range(1, mailbox.WAITING_MAX + 1):
        assert box.put(Letter(answer(turn), live=True)) is None
    dropped = box.put(Letter(answer(1_000), live=True))
    assert dropped is not None
    assert dropped.turn == 1
    assert len(box) == mailbox.WAITING_MAX


def test_what_waited_is_looked_up_and_what_came_live_is_certain() -> None:
    box = Mailbox()
    box.put(Letter(answer(1), live=False))
    box.put(Letter(answer(2), live=False))
    box.put(Letter(answer(3), live=True))
    assert box.unsure
    gone = box.sort_out({"live-001#1", "live-001#3"})
    assert [letter.turn for letter in gone] == [1]
    box.certain()
    assert not box.unsure
    assert len(box) == 2


def test_of_what_was_answered_while_nobody_was_there_only_the_newest_is_told() -> None:
    box = Mailbox()
    for turn in (1, 2, 3):
        box.put(Letter(answer(turn), live=False))
    assert [letter.turn for letter in box.let_bygones_go()] == [1, 2]
    box.put(Letter(answer(4), live=True))
    assert [letter.turn for letter in box.let_bygones_go()] == [3], "the conversation has gone on"
    assert len(box) == 1
    box.certain()
    assert box.let_bygones_go() == []

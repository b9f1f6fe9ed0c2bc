import pytest

from dialog_contracts.http import TurnRecord
from dialog_engine.sessions import session as module
from dialog_engine.sessions.session import Session


def record(turn: int, reply: str = "yes") -> TurnRecord:
    return TurnRecord(turn=turn, user=f"question {turn}", reply=reply, ts=turn)


def session_with(turns: int) -> Session:
    session = Session("live-001")
    for turn in range(1, turns + 1):
        session.assign_turn(turn, None, 0)
        session.add_record(record(turn))
    return session


def test_a_number_that_came_to_nothing_is_given_out_again_and_its_message_may_come_again() -> None:
    session = Session("live-001")
    session.assign_turn(1, "r-1", 0)
    session.assign_turn(2, "r-2", 0)
    session.release_turn(2, "r-2")
    assert (session.last_turn, session.requests) == (1, {"r-1": 1})
    session.assign_turn(2, "r-2", 0)
    session.assign_turn(3, "r-3", 0)
    session.release_turn(2, "r-2")
    assert session.last_turn == 3, "a later turn keeps the number taken"


def test_only_so_many_messages_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUEST_IDS", 2)
    session = Session("live-001")
    for turn in range(1, 5):
        session.assign_turn(turn, f"r-{turn}", 0)
    assert session.requests == {"r-3": 3, "r-4": 4}


def test_a_later_form_of_a_turn_replaces_the_earlier_one_in_the_prompt() -> None:
    session = Session("live-001")
    session.add_record(record(1))
    session.add_record(record(2, "a long story"))
    session.add_record(record(2, "a long"))
    assert [turn.reply for turn in session.prompt_turns(10)] == ["yes", "a long"]
    assert session.prompt_turns(1) == [record(2, "a long")]
    assert session.prompt_turns(0) == []


def test_a_reset_empties_the_prompt_and_nothing_else() -> None:
    session = Session("live-001")
    session.add_record(record(1))
    session.reset(2)
    session.add_record(record(3))
    assert [turn.turn for turn in session.prompt_turns(10)] == [3]
    assert session.last_turn == 2
    assert [turn.turn for turn in session.recent] == [1, 3]


def test_numbers_that_were_left_out_are_looked_for_while_they_are_young() -> None:
    session = Session("live-001")
    assert session.missing_turns(1, 0) == set()
    session.assign_turn(1, None, 0)
    assert session.missing_turns(2, 0) == set()
    assert session.missing_turns(4, 0) == {2, 3}
    session.assign_turn(4, None, 0)
    assert session.missing_turns(5, 60) == {2, 3}
    assert session.missing_turns(5, module.MISSING_TURN_RETRY_S) == set()


def test_a_session_that_is_new_here_may_have_had_turns_elsewhere_but_not_more_than_history_keeps() -> (
    None
):
    assert session_with(0).missing_turns(3, 0) == {1, 2}
    assert session_with(0).missing_turns(500, 0) == set(range(450, 500))


def test_turns_of_the_other_path_take_their_place_in_the_prompt() -> None:
    session = session_with(2)
    session.assign_turn(5, None, 0)
    session.add_record(record(5))
    session.merge([record(3), record(4)], 1)
    assert [turn.turn for turn in session.prompt_turns(10)] == [2, 3, 4, 5]
    assert session.missing_turns(6, 0) == set()
    assert session.last_turn == 5


def test_what_redis_has_in_its_last_form_is_not_published_again() -> None:
    session = Session("live-001")
    session.add_record(record(1))
    first = list(session.unpublished.values())
    session.add_record(record(1, "cut"))
    session.published(first)
    assert list(session.unpublished.values()) == [record(1, "cut")]
    session.published([record(1, "cut")])
    assert session.unpublished == {}

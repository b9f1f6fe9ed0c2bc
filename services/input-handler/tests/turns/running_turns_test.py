from contextlib import ExitStack

import pytest

from input_handler.errors import TooManyTurns
from input_handler.turns.running_turns import RunningTurns


@pytest.fixture
def turns() -> RunningTurns:
    return RunningTurns(max_total=6, max_per_client=3, max_per_session=2)


def filled(turns: RunningTurns, stack: ExitStack, *places: tuple[str, str | None]) -> None:
    for session, client in places:
        stack.enter_context(turns.slot(session, client))


def refused(turns: RunningTurns, session: str, client: str | None) -> str:
    with pytest.raises(TooManyTurns) as error, turns.slot(session, client):
        pass
    assert (error.value.status, error.value.body.retryable, error.value.retry_after_s) == (
        429,
        True,
        1,
    )
    return error.value.body.message


def test_a_client_takes_its_places_and_nobody_elses(turns: RunningTurns) -> None:
    with ExitStack() as stack:
        filled(turns, stack, ("a", "one"), ("b", "one"), ("c", "one"))
        assert "3 turns at once is the limit of a client address" in refused(turns, "d", "one")
        filled(turns, stack, ("d", "two"))
    with turns.slot("d", "one"):
        pass
    assert not turns._clients
    assert not turns._sessions


def test_a_session_has_its_places_whoever_asks(turns: RunningTurns) -> None:
    with ExitStack() as stack:
        filled(turns, stack, ("a", "one"), ("a", "two"))
        assert "2 turns at once is the limit of a session" in refused(turns, "a", "three")
        filled(turns, stack, ("b", "one"))


def test_all_together_are_bounded_and_a_recording_has_no_client(turns: RunningTurns) -> None:
    with ExitStack() as stack:
        filled(turns, stack, *((name, None) for name in "abcdef"))
        assert "6 turns at once is the limit" in refused(turns, "g", "one")


def test_a_turn_that_fails_gives_its_place_back(turns: RunningTurns) -> None:
    for _ in range(9):
        with pytest.raises(ValueError, match="m"), turns.slot("a", "one"):
            raise ValueError("m")
    assert turns._running == 0

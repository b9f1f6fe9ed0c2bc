"""Which event is due at an engine, and until when."""

import pytest

from input_handler.engine.deadlines import NO_DELTA, NOT_ACCEPTED, TurnDeadlines


def made(after: int = -1) -> TurnDeadlines:
    return TurnDeadlines(100.0, after, accept_timeout_s=0.3, first_token_timeout_s=8)


def test_accepted_is_due_first_and_then_the_first_delta_both_from_the_call() -> None:
    due = made()
    assert (due.reason, due.due_at) == (NOT_ACCEPTED, 100.3)
    due.accepted()
    assert (due.reason, due.due_at) == (NO_DELTA, 108.0)
    due.accepted()
    assert due.due_at == 108.0


def test_a_model_that_thinks_has_more_time_and_one_that_is_not_accepted_has_not() -> None:
    due = made()
    due.thinking(100.2)
    assert (due.reason, due.due_at) == (NOT_ACCEPTED, 100.3)
    due.accepted()
    due.thinking(107.0)
    assert (due.reason, due.due_at) == (NO_DELTA, 115.0)


def test_after_the_first_delta_nothing_is_due() -> None:
    due = made()
    due.accepted()
    due.answered()
    due.thinking(101.0)
    due.accepted()
    assert due.reason is None


@pytest.mark.parametrize(("after", "reason"), [(-1, NOT_ACCEPTED), (0, NO_DELTA), (1, None)])
def test_a_caller_waits_only_for_what_it_has_not(after: int, reason: str | None) -> None:
    assert made(after).reason == reason

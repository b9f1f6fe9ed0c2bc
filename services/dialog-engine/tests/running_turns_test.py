import asyncio

import pytest

from dialog_engine.errors import ClientBusy, TooManyTurns
from dialog_engine.running_turns import RunningTurns


def test_one_turn_more_than_the_limit_is_refused_until_one_ends() -> None:
    running = RunningTurns(max_total=2, max_per_client=2)
    for client in ("a", None):
        running.check_total()
        running.started(client)
    with pytest.raises(TooManyTurns, match="2 turns at once is the limit"):
        running.check_total()
    running.ended(None)
    running.check_total()
    assert running.total == 1


def test_a_client_has_its_share_and_a_turn_that_it_interrupts_does_not_count() -> None:
    running = RunningTurns(max_total=9, max_per_client=1)
    running.started("a")
    with pytest.raises(ClientBusy) as refused:
        running.check_client("a", replaces="b")
    assert refused.value.body.limit == 1
    running.check_client("a", replaces="a")
    running.check_client("b", replaces="a")
    running.check_client(None, replaces=None)


def test_a_client_without_turns_is_not_remembered() -> None:
    running = RunningTurns(max_total=9, max_per_client=9)
    for client in ("a", "b", None):
        running.started(client)
    assert running.clients == 2
    for client in ("b", None, "a"):
        running.ended(client)
    assert (running.clients, running.total) == (0, 0)


async def test_idle_is_when_the_last_turn_has_ended() -> None:
    running = RunningTurns(max_total=9, max_per_client=9)
    await running.wait_idle()
    running.started("a")
    running.started("b")
    waiting = asyncio.create_task(running.wait_idle())
    running.ended("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    running.ended("b")
    await waiting

import asyncio

import pytest

from dialog_engine.turn.timers import TurnTimers

pytestmark = pytest.mark.looptime


async def test_it_begins_with_the_turn_and_counts_ms() -> None:
    await asyncio.sleep(3)
    clock = TurnTimers()
    await asyncio.sleep(1.5)
    assert clock.elapsed_ms() == pytest.approx(1_500)


async def test_what_is_to_be_done_later_is_done_unless_the_turn_is_over() -> None:
    clock, done = TurnTimers(), list[str]()
    clock.call_later(1, lambda: done.append("in time"))
    clock.call_later(2, lambda: done.append("too late"))
    await asyncio.sleep(1.5)
    clock.close()
    clock.call_later(0.1, lambda: done.append("after the end"))
    await asyncio.sleep(3)
    assert done == ["in time"]

import asyncio

import pytest

from output_handler.playback.timer import ResettableTimer

pytestmark = pytest.mark.looptime


async def test_it_calls_once_when_the_time_is_over() -> None:
    calls: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    timer = ResettableTimer(lambda: calls.append(loop.time() - began))
    timer.schedule(2)
    await asyncio.sleep(10)
    assert calls == [pytest.approx(2)]


async def test_a_new_time_replaces_the_one_before_and_a_negative_one_is_now() -> None:
    calls: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    timer = ResettableTimer(lambda: calls.append(loop.time() - began))
    timer.schedule(2)
    await asyncio.sleep(1)
    timer.schedule(2)
    await asyncio.sleep(10)
    timer.schedule(-5)
    await asyncio.sleep(0.001)
    assert calls == [pytest.approx(3), pytest.approx(11, abs=0.01)]


async def test_cancelled_it_does_not_call() -> None:
    calls: list[int] = []
    timer = ResettableTimer(lambda: calls.append(1))
    timer.cancel()
    timer.schedule(1)
    timer.cancel()
    await asyncio.sleep(5)
    assert calls == []

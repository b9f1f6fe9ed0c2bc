"""The send queue: order, bounds, drops and its end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.aio.send_queue import SendQueue

pytestmark = pytest.mark.looptime


async def test_items_come_in_order_and_a_reader_waits_for_the_next() -> None:
    queue: SendQueue[str] = SendQueue(10)
    reading = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not reading.done()
    queue.put("a")
    queue.put("b")
    assert [await reading, await queue.get()] == ["a", "b"]


async def test_after_its_end_what_waits_is_still_read() -> None:
    queue: SendQueue[str] = SendQueue(10)
    queue.put("a")
    queue.end()
    assert [await queue.get(), await queue.get(), await queue.get()] == ["a", None, None]


async def test_a_waiting_reader_learns_of_the_end() -> None:
    queue: SendQueue[str] = SendQueue(10)
    reading = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.end()
    assert await reading is None


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    queue: SendQueue[str] = SendQueue(10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await queue.get()
    queue.put("a")
    assert await queue.get() == "a"


async def test_the_bound_is_in_the_unit_of_the_sizes() -> None:
    queue: SendQueue[bytes] = SendQueue(100)
    queue.put(b"x", 60)
    assert queue.fits(40)
    assert not queue.fits(41)
    queue.put(b"control frame", 80)
    assert queue.size == 140, "put never refuses"
    queue.clear()
    assert (len(queue), queue.size) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "drop"]), st.integers(0, 9))))
def test_the_size_is_always_that_of_what_waits(steps: list[tuple[str, int]]) -> None:
    queue: SendQueue[int] = SendQueue(1_000)
    waiting: list[int] = []
    for step, number in steps:
        if step == "put":
            queue.put(number, number)
            waiting.append(number)
        elif step == "take" and waiting:
            assert queue.take() == waiting.pop(0)
        elif step == "drop":
            before = len(waiting)
            waiting = [item for item in waiting if item != number]
            assert queue.drop(lambda item, number=number: item == number) == before - len(waiting)  # type: ignore[misc]
        assert (len(queue), queue.size) == (len(waiting), sum(waiting))

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, TextDeltaEvent
from dialog_engine.turn.event_log import BATCH_S, EventLog


async def collect(log: EventLog, after: int = -1) -> list[str]:
    return [frame.id or "" async for batch in log.follow(after) for frame in batch]


def filled(deltas: int) -> EventLog:
    log = EventLog(42)
    log.append(ControlEvent(action="ACCEPTED"))
    for number in range(deltas):
        log.append(TextDeltaEvent(content=f"w{number} "))
    log.append(DoneEvent(stats=DoneStats()))
    return log


async def test_ids_are_turn_and_number_from_zero_without_gaps() -> None:
    assert await collect(filled(3)) == ["42.0", "42.1", "42.2", "42.3", "42.4"]


@given(st.integers(0, 12), st.integers(-1, 14))
def test_resuming_after_any_event_gives_exactly_the_rest(deltas: int, after: int) -> None:
    log = filled(deltas)
    whole = asyncio.run(collect(log))
    assert asyncio.run(collect(log, after)) == whole[after + 1 :]


async def test_readers_get_events_as_they_come_and_end_with_the_log() -> None:
    log = EventLog(1)
    reading = asyncio.create_task(collect(log))
    for content in ("a", "b"):
        log.append(TextDeltaEvent(content=content))
        await asyncio.sleep(0)
    assert not reading.done()
    log.append(DoneEvent(stats=DoneStats()))
    assert await reading == ["1.0", "1.1", "1.2"]
    log.append(TextDeltaEvent(content="late"))
    assert len(log.frames) == 3
    assert log.done


async def test_a_log_that_is_closed_without_done_ends_its_readers() -> None:
    log = EventLog(1)
    reading = asyncio.create_task(collect(log))
    await asyncio.sleep(0)
    log.close()
    assert await reading == []
    assert not log.done


@pytest.mark.looptime
async def test_the_first_deltas_come_at_once_later_ones_in_gatherings_and_the_end_at_once() -> None:
    log = EventLog(1)
    came: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()

    async def read() -> None:
        async for batch in log.follow():
            came.append((round(loop.time(), 3), len(batch)))

    reading = asyncio.create_task(read())
    log.append(ControlEvent(action="ACCEPTED"))
    for number in range(10):
        await asyncio.sleep(0.02)
        log.append(TextDeltaEvent(content=f"w{number} "))
    log.append(DoneEvent(stats=DoneStats()))
    await reading
    assert came[:3] == [(0.0, 1), (0.02, 1), (0.04, 1)]
    assert sum(count for _, count in came) == 12
    assert all(
        after - before >= BATCH_S - 0.001
        for (before, _), (after, _) in zip(came[2:-1], came[3:-1], strict=False)
    )
    assert came[-1][0] == 0.2, "the end waits for nothing"
    assert len(came) <= 8


async def test_thoughts_reach_those_who_read_now_and_nobody_later() -> None:
    log = EventLog(1)
    log.append(ControlEvent(action="ACCEPTED"))
    found: list[str] = []

    async def read() -> None:
        async for batch in log.follow():
            found.extend(frame.id or frame.data for frame in batch)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    log.thinking()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log.append(TextDeltaEvent(content="a"))
    log.append(DoneEvent(stats=DoneStats()))
    log.thinking()
    await reading
    assert found == ["1.0", "thinking", "1.1", "1.2"]
    assert await collect(log) == ["1.0", "1.1", "1.2"]

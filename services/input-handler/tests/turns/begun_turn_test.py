"""A turn whose first event is there."""

from collections.abc import AsyncGenerator

import pytest

from dialog_contracts import sse
from dialog_contracts.sse import SseFrame
from input_handler.errors import LegacyUnavailable
from input_handler.testing.scripted_engine import ACCEPTED, DONE, HELLO
from input_handler.turns.begun_turn import BegunTurn

EVENTS: tuple[sse.ChatEvent, ...] = (ACCEPTED, HELLO, DONE)
FRAMES = [sse.frame(event, f"1.{number}") for number, event in enumerate(EVENTS)]


async def stream(frames: list[SseFrame], closed: list[bool]) -> AsyncGenerator[SseFrame, None]:
    try:
        for frame in frames:
            yield frame
    finally:
        closed.append(True)


@pytest.mark.parametrize("count", range(4))
async def test_every_event_comes_once_and_in_order(count: int) -> None:
    turn = await BegunTurn.of(stream(FRAMES[:count], []))
    assert [frame async for frame in turn] == FRAMES[:count]
    assert [frame async for frame in turn] == []


async def test_what_cannot_begin_is_raised_at_once() -> None:
    async def fails() -> AsyncGenerator[SseFrame, None]:
        raise LegacyUnavailable("neither path")
        yield

    with pytest.raises(LegacyUnavailable):
        await BegunTurn.of(fails())


async def test_a_turn_that_is_left_early_is_closed() -> None:
    closed: list[bool] = []
    turn = await BegunTurn.of(stream(FRAMES, closed))
    await anext(turn)
    await turn.aclose()
    assert closed == [True]

"""A turn that is over is freed at once.

Without the collector, which stops every other turn while it looks.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING
from weakref import ref

import pytest

from dialog_engine import chat_service
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.ports import TurnHost
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.runner import TurnRunner
from dialog_engine.weak_callback import weak_callback

if TYPE_CHECKING:
    from conftest import Engine, Opens

Ends = Callable[["Engine", int], Awaitable[None]]


class Bell:
    def __init__(self) -> None:
        self.rung: list[int] = []

    def ring(self, times: int) -> None:
        self.rung.append(times)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_it_calls_as_long_as_somebody_else_holds_the_object() -> None:
    bell = Bell()
    call, gone = weak_callback(bell.ring), ref(bell)
    call(3)
    rung = bell.rung
    del bell
    assert gone() is None
    call(4)
    assert rung == [3]


async def finished(one: "Engine", turn: int) -> None:
    await one.say(turn)


async def stopped(one: "Engine", turn: int) -> None:
    talking = asyncio.create_task(one.say(turn))
    await asyncio.sleep(0.1)
    assert one.service._output_events.stop("s", turn, "test") == turn
    await talking


async def left(one: "Engine", turn: int) -> None:
    async with one.open(turn) as batches:
        await anext(batches)


@pytest.mark.parametrize("ends", [finished, stopped, left])
async def test_nothing_of_a_turn_outlives_it(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch, ends: Ends
) -> None:
    seen: list[ref[TurnRunner]] = []

    class Seen(TurnRunner):
        def __init__(self, request: TurnRequest, host: TurnHost) -> None:
            super().__init__(request, host)
            seen.append(ref(self))

    monkeypatch.setattr(chat_service, "TurnRunner", Seen)
    async with engine(["one ", "two ", "three ", "four ", "five. "] * 5, gap_s=0.01) as one:
        for turn in (1, 2):
            await ends(one, turn)
        assert len(seen) == 2
        async with asyncio.timeout(10):
            while any(turn() is not None for turn in seen):
                await asyncio.sleep(0.02)


async def test_a_turn_that_nobody_else_holds_lives_until_it_is_stored(
    engine: "Opens", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller has left, and the next turn has cut it off: only its commit still knows of it."""
    async with engine(["word "] * 200, gap_s=0.005) as one:
        async with one.open(1) as batches:
            async for batch in batches:
                if any(frame.event == "text-delta" for frame in batch):
                    break
        commit, slowly = one.memory.commit, asyncio.Event()

        async def waiting(turn: StoredTurn) -> None:
            await slowly.wait()
            await commit(turn)

        monkeypatch.setattr(one.memory, "commit", waiting)
        cut = asyncio.create_task(one.say(2))
        await asyncio.sleep(0.2)
        gc.collect()
        slowly.set()
        assert one.service._output_events.stop("s", 2, "test") == 2
        await cut
        async with asyncio.timeout(10):
            while one.service._running.total:
                await asyncio.sleep(0.02)
        assert [(sample.turn, sample.outcome) for sample in one.shelf.samples] == [
            (1, "interrupted"),
            (2, "interrupted"),
        ]

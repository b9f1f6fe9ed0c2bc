"""The events of one turn as its callers see them: kept from the first, so that anyone can (re)join after any id."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from dialog_contracts import sse
from dialog_contracts.sse import ChatEvent, DoneEvent, ErrorEvent, SseFrame

BATCH_S: Final = 0.05
"""Deltas after the first two reach a reader together that come within this time: one waking of every hop for all of them. Nobody reads
faster, and what ends a turn never waits."""

UNBATCHED_EVENTS: Final = 3
"""ACCEPTED and the first two deltas."""


class EventLog:
    """Append-only; `closed` after `done`, `error` or `close`. Ids are `<turn>.<n>`, n from 0 without gaps."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.frames: list[SseFrame] = []
        self.closed = False
        self._thoughts = 0
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()

    def append(self, event: ChatEvent) -> None:
        """Add an event and wake the readers."""
        if self.closed:
            return
        self.frames.append(sse.frame(event, f"{self.turn}.{len(self.frames)}"))
        self.closed = isinstance(event, DoneEvent | ErrorEvent)
        self._wake()

    def thinking(self) -> None:
        """Let readers know that the model thinks; no event, so nobody who comes later learns of it."""
        if not self.closed:
            self._thoughts += 1
            self._wake()

    @property
    def done(self) -> bool:
        """Whether it ended with `done`."""
        return bool(self.frames) and self.frames[-1].event == "done"

    def close(self) -> None:
        """End the log without a last event: its only caller has left."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self.closed:
            self._finished.set()
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, after: int = -1) -> AsyncIterator[list[SseFrame]]:
        """Frames after number `after`, as they come, those that are there together; ends when the log closes."""
        at, thoughts = after + 1, self._thoughts
        while True:
            if at < len(self.frames):
                ready = self.frames[at:]
                at = len(self.frames)
                yield ready
                if at >= UNBATCHED_EVENTS:
                    await self._batch()
            elif self.closed:
                return
            elif thoughts < self._thoughts:
                thoughts = self._thoughts
                yield [sse.THINKING]
            else:
                await self._changed.wait()

    async def _batch(self) -> None:
        try:
            async with asyncio.timeout(BATCH_S):
                await self._finished.wait()
        except TimeoutError:
            return

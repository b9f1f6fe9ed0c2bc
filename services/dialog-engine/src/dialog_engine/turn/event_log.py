"""The events of one turn for its callers.

All events are kept from the first one on, because a caller may join late or resume after any event
id. Any number of callers can read at the same time.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from dialog_contracts import sse
from dialog_contracts.sse import ChatEvent, DoneEvent, ErrorEvent, SseFrame

BATCH_S: Final = 0.05
"""Seconds for which a reader waits for further events after it got the first three.

Deltas that arrive within this time reach it in one message, so that each process on the way wakes
up less often. The end of a turn is not delayed.
"""

UNBATCHED_EVENTS: Final = 3
"""ACCEPTED and the first two deltas are sent at once."""


class EventLog:
    """Append-only list of events with the ids `<turn>.<n>`, where n counts from 0 without gaps.

    `closed` is true after `done`, `error` or `close`.
    """

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.frames: list[SseFrame] = []
        self.closed = False
        self._thoughts = 0
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()

    def append(self, event: ChatEvent) -> None:
        """Add an event and wake the readers. After the end of the log it has no effect."""
        if self.closed:
            return
        self.frames.append(sse.frame(event, f"{self.turn}.{len(self.frames)}"))
        self.closed = isinstance(event, DoneEvent | ErrorEvent)
        self._wake()

    def thinking(self) -> None:
        """Send the present readers a comment that the model is thinking.

        It is not an event: it has no id and later readers do not get it.
        """
        if not self.closed:
            self._thoughts += 1
            self._wake()

    @property
    def done(self) -> bool:
        """Whether the last event is `done`."""
        return bool(self.frames) and self.frames[-1].event == "done"

    def close(self) -> None:
        """End the log without a last event, for a turn that has no caller any more."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self.closed:
            self._finished.set()
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, after: int = -1) -> AsyncIterator[list[SseFrame]]:
        """Yield the frames after number `after` as they come; ends when the log is closed.

        Frames that are available together are yielded together.
        """
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

"""A turn whose first event is there: what refuses or cannot answer it has been raised already."""

from collections.abc import AsyncGenerator
from typing import Self

from dialog_contracts.sse import SseFrame


class BegunTurn:
    """An asynchronous iterator over a turn's events; it must be closed.

    A caller that has every event of the turn already gets none.
    """

    def __init__(self, first: SseFrame | None, rest: AsyncGenerator[SseFrame, None]) -> None:
        self._first, self._rest = first, rest

    @classmethod
    async def of(cls, frames: AsyncGenerator[SseFrame, None]) -> Self:
        """Wait for the first event. Raises what `frames` raises before it."""
        return cls(await anext(frames, None), frames)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SseFrame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return await anext(self._rest)

    async def aclose(self) -> None:
        """Leave the turn to its path."""
        await self._rest.aclose()

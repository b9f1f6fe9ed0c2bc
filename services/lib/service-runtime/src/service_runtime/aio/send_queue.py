"""A bounded queue between code that must not wait and the one task that sends.

A session fans its frames out to many sockets from synchronous code, which cannot wait for a slow
one. So each socket has a queue and a writer task. asyncio.Queue does not fit: its bound counts items
and not bytes or milliseconds, and it cannot drop what is waiting.

What happens to an item that does not fit is the caller's decision, since it differs: an engine drops
chunks but never control frames, a viewer drops its audio and keeps the captions, a microphone drops
its oldest frame. `fits` answers the question, `put` never refuses.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SendQueue(Generic[T]):
    """`max_size` is in the unit in which items are measured: items, bytes, or ms."""

    def __init__(self, max_size: float) -> None:
        self.max_size = max_size
        self.size = 0.0
        """Sum of the sizes of what waits."""

        self._items: deque[tuple[T, float]] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def __len__(self) -> int:
        return len(self._items)

    def fits(self, size: float = 1.0) -> bool:
        """Return whether an item of this size is within the bound."""
        return self.size + size <= self.max_size

    def put(self, item: T, size: float = 1.0) -> None:
        """Append an item."""
        self._items.append((item, size))
        self.size += size
        self._changed.set()

    def end(self) -> None:
        """Let `get` return None once all items are taken."""
        self._ended = True
        self._changed.set()

    async def get(self) -> T | None:
        """Wait for the next item and take it; None after the last one. One task at a time."""
        while not self._items:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self.take()

    def take(self) -> T:
        """Take the oldest item. Raises IndexError where there is none."""
        item, size = self._items.popleft()
        self.size -= size
        return item

    def drop(self, match: Callable[[T], bool]) -> int:
        """Drop the items that match; return how many."""
        kept = [(item, size) for item, size in self._items if not match(item)]
        dropped = len(self._items) - len(kept)
        self._items = deque(kept)
        self.size = sum(size for _, size in kept)
        return dropped

    def clear(self) -> None:
        """Drop all items."""
        self._items.clear()
        self.size = 0.0

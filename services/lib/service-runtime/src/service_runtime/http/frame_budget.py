"""How many WebSocket frames a connection may send: so many at once, so many a second, and so many for one message."""

import time
from collections.abc import Callable
from typing import Final

from service_runtime.http import bounds
from service_runtime.http.frame_cursor import FrameCursor

STEP_BYTES: Final = 8 * 1024
"""Bytes between two looks at the count: of frames without anything in them these are 1 400."""


class FrameBudget:
    """`passed` after each step of the cursor: why the connection has to end, or None.

    `parts_only`: messages are counted elsewhere, here only pings and the parts of messages are.
    """

    def __init__(
        self,
        cursor: FrameCursor,
        *,
        parts_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cursor, self._parts_only, self._clock = cursor, parts_only, clock
        self._left, self._at, self._seen = float(bounds.FRAMES_AT_ONCE), clock(), 0

    def passed(self) -> str | None:
        """Why, as a close frame's reason."""
        if self._cursor.fragments > bounds.FRAGMENTS:
            return f"a message in more than {bounds.FRAGMENTS} frames"
        now, seen = self._clock(), self._cursor.parts if self._parts_only else self._cursor.frames
        self._left = min(
            bounds.FRAMES_AT_ONCE, self._left + (now - self._at) * bounds.FRAMES_A_SECOND
        ) - (seen - self._seen)
        self._at, self._seen = now, seen
        return f"more than {bounds.FRAMES_A_SECOND} frames a second" if self._left < 0 else None

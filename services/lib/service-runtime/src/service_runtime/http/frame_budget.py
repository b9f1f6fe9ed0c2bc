"""How many WebSocket frames a connection may send: so many at once, so many a second, and so many for one message."""

import time
from collections.abc import Callable
from typing import Final

from service_runtime.http import bounds
from service_runtime.http.frame_tracker import FrameBoundaryTracker

STEP_BYTES: Final = 8 * 1024
"""Bytes between two looks at the count: of frames without anything in them these are 1 400."""


class FrameBudget:
    """`passed` after each step of the cursor: why the connection has to end, or None.

    `parts_only`: messages are counted elsewhere, here only pings and the parts of messages are.
    """

    def __init__(
        self,
        cursor: FrameBoundaryTracker,
        *,
        parts_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracker, self._parts_only, self._clock = cursor, parts_only, clock
        self._left, self._at, self._seen = float(bounds.FRAME_BURST), clock(), 0

    def exceeded(self) -> str | None:
        """Why, as a close frame's reason."""
        if self._tracker.fragments > bounds.FRAGMENTS:
            return f"a message in more than {bounds.FRAGMENTS} frames"
        now, seen = self._clock(), self._tracker.parts if self._parts_only else self._tracker.frames
        self._left = min(
            bounds.FRAME_BURST, self._left + (now - self._at) * bounds.FRAMES_PER_SECOND
        ) - (seen - self._seen)
        self._at, self._seen = now, seen
        return f"more than {bounds.FRAMES_PER_SECOND} frames a second" if self._left < 0 else None

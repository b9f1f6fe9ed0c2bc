"""Limits the WebSocket frames of a connection: burst, rate, and frames of one message."""

import time
from collections.abc import Callable
from typing import Final

from service_runtime.http import bounds
from service_runtime.http.frame_tracker import FrameBoundaryTracker

STEP_BYTES: Final = 8 * 1024
"""Bytes between two checks of the budget: at most 1 400 empty frames."""


class FrameBudget:
    """Call `exceeded` after each step of the tracker.

    With `parts_only` only pings and fragments of messages are counted, because messages are counted
    elsewhere.
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
        """Return the reason for the close frame when a limit is exceeded, else None."""
        if self._tracker.fragments > bounds.FRAGMENTS:
            return f"a message in more than {bounds.FRAGMENTS} frames"
        now, seen = self._clock(), self._tracker.parts if self._parts_only else self._tracker.frames
        self._left = min(
            bounds.FRAME_BURST, self._left + (now - self._at) * bounds.FRAMES_PER_SECOND
        ) - (seen - self._seen)
        self._at, self._seen = now, seen
        return f"more than {bounds.FRAMES_PER_SECOND} frames a second" if self._left < 0 else None

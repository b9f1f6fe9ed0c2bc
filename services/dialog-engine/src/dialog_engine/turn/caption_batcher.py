"""Captions on their way to the viewers, gathered into frames: the first one goes right behind the first sound, or soon by itself.

The speaker reads the text from its own stream; viewers read along with the voice, which is behind the text anyway.
"""

import asyncio
from collections.abc import Callable
from typing import Final

BATCH_S: Final = 0.06
FIRST_BATCH_S: Final = 0.02
"""Every frame before the first sound takes time from it on every hop."""


class CaptionBatcher:
    """`send(content, start, eos)` is called by timers, or by `flush`."""

    def __init__(self, send: Callable[[str, int, bool], None]) -> None:
        self._send = send
        self._pieces: list[str] = []
        self._start = 0
        self._eos = False
        self._scheduled: asyncio.Handle | None = None

    def add(self, content: str, start: int, eos: bool) -> None:
        """A piece of the reply; `start` is its place, right after the piece before."""
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.call_later(BATCH_S if start else FIRST_BATCH_S, self.flush)
            self._start = start
        self._pieces.append(content)
        self._eos = eos

    def flush(self) -> None:
        """Send what has gathered."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
            content, self._pieces = "".join(self._pieces), []
            self._send(content, self._start, self._eos)

    def discard(self) -> None:
        """Forget what has gathered: the turn was stopped."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
            self._pieces = []

"""Joins pieces of text to captions, so that viewers get fewer messages.

The first caption is sent right after the first audio, or after 20 ms, and later ones after 60 ms.
The delay is not visible, because the voice is behind the text. The caller of the engine reads its
text from its own stream.
"""

import asyncio
from collections.abc import Callable
from typing import Final

BATCH_S: Final = 0.06
FIRST_BATCH_S: Final = 0.02
"""Seconds until the first caption is sent.

It is not sent at once, because a message before the first audio delays that audio.
"""


class CaptionBatcher:
    """The captions of one turn. `send(content, start, eos)` is called by a timer or by `flush`."""

    def __init__(self, send: Callable[[str, int, bool], None]) -> None:
        self._send = send
        self._pieces: list[str] = []
        self._start = 0
        self._eos = False
        self._scheduled: asyncio.Handle | None = None

    def add(self, content: str, start: int, eos: bool) -> None:
        """Add a piece of the reply; `start` is its position in characters.

        It must follow the piece before without a gap.
        """
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.call_later(BATCH_S if start else FIRST_BATCH_S, self.flush)
            self._start = start
        self._pieces.append(content)
        self._eos = eos

    def flush(self) -> None:
        """Send the collected pieces now."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
            content, self._pieces = "".join(self._pieces), []
            self._send(content, self._start, self._eos)

    def discard(self) -> None:
        """Drop the collected pieces, because the turn was stopped."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
            self._pieces = []

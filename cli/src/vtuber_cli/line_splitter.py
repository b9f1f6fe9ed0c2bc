"""Splits a stream of bytes into lines of limited length.

Bytes beyond the limit are counted and dropped at once, so a service that writes no line end cannot
fill the memory.
"""

from typing import Final

MAX_LINE_BYTES: Final = 1024 * 1024


class LineSplitter:
    """Splitter of one stream.

    A longer line is cut at `limit` bytes and says how many are missing.
    """

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._cut = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are complete now, without their line ends."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._take(part)
            lines.append(self._line())
        self._take(rest)
        return lines

    def end(self) -> list[str]:
        """Return the rest at the end of the stream, if any."""
        return [self._line()] if self._begun else []

    def _take(self, part: bytes) -> None:
        room = self._limit - len(self._begun)
        self._begun += part[:room]
        self._cut += max(0, len(part) - room)

    def _line(self) -> str:
        text = self._begun.decode("utf-8", "replace").removesuffix("\r")
        if self._cut:
            text += f" … ({self._cut} bytes more)"
        self._begun, self._cut = bytearray(), 0
        return text

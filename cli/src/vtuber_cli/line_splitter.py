"""Lines out of a stream of bytes: none is longer than a limit, and no byte is waited for because of one."""

from typing import Final

MAX_LINE_BYTES: Final = 1024 * 1024


class LineSplitter:
    """Feed it bytes as they come. A line that is longer than `limit` bytes is cut there, and says how much of it is missing."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._cut = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now, without their ends."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._take(part)
            lines.append(self._line())
        self._take(rest)
        return lines

    def end(self) -> list[str]:
        """What remains when nothing more comes."""
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

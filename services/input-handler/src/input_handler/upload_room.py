"""Memory for uploads on their way: what all connections of this process hold of them together."""

from typing import Final

BYTES_MAX: Final = 256 * 1024 * 1024
"""Sixteen of the longest recordings at once; they are seconds on their way."""


class UploadRoom:
    """`has_room` before bytes are kept, `enter` when they are, `leave` when they go."""

    FULL: Final = "too many uploads at once; please send it again"

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max, self.held = bytes_max, 0

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be kept."""
        return self.held + size <= self._bytes_max

    def enter(self, size: int) -> None:
        """So many more are kept; fewer, when it is negative."""
        self.held += size

    def leave(self, size: int) -> None:
        """So many went."""
        self.held -= size

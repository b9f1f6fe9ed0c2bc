"""Memory for uploads on their way: what all connections of this process hold of them together, and what those of one client do."""

from collections import Counter
from typing import Final

MAX_BYTES: Final = 96 * 1024 * 1024
"""Six of the longest recordings at once; they are seconds on their way, and twice in memory on their way to Redis."""

MAX_CLIENT_BYTES: Final = 32 * 1024 * 1024


class UploadBudget:
    """`has_room` before bytes are kept, `enter` when they are, and when they go."""

    FULL: Final = "too many uploads at once; please send it again"

    def __init__(self, bytes_max: int = MAX_BYTES, a_client_max: int = MAX_CLIENT_BYTES) -> None:
        self._bytes_max, self._a_client_max, self.held = bytes_max, a_client_max, 0
        self._clients: Counter[str] = Counter()

    def can_reserve(self, client: str, size: int) -> bool:
        """Whether so many bytes more of this client may be kept."""
        return (
            self.held + size <= self._bytes_max
            and self._clients[client] + size <= self._a_client_max
        )

    def reserve(self, client: str, size: int) -> None:
        """So many more are kept; fewer, when it is negative."""
        self.held += size
        self._clients[client] += size
        if not self._clients[client]:
            del self._clients[client]

"""Bounds the memory of unfinished uploads, for the process and for each client."""

from collections import Counter
from typing import Final

MAX_BYTES: Final = 96 * 1024 * 1024
"""Six recordings of the largest size; while a recording is sent to Redis it is in memory twice."""

MAX_CLIENT_BYTES: Final = 32 * 1024 * 1024


class UploadBudget:
    """Callers ask `can_reserve`, then `reserve`; a negative size releases."""

    FULL: Final = "too many uploads at once; please send it again"

    def __init__(self, bytes_max: int = MAX_BYTES, a_client_max: int = MAX_CLIENT_BYTES) -> None:
        self._bytes_max, self._a_client_max, self.held = bytes_max, a_client_max, 0
        self._clients: Counter[str] = Counter()

    def can_reserve(self, client: str, size: int) -> bool:
        """Return whether `size` more bytes of this client are within the bounds."""
        return (
            self.held + size <= self._bytes_max
            and self._clients[client] + size <= self._a_client_max
        )

    def reserve(self, client: str, size: int) -> None:
        """Count `size` more bytes, or fewer if it is negative."""
        self.held += size
        self._clients[client] += size
        if not self._clients[client]:
            del self._clients[client]

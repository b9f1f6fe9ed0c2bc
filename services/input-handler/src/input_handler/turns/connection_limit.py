"""Limits the running turns of one connection: typed, spoken and uploaded ones."""

from service_runtime.http.errors import TooMany


class ConcurrencyLimit:
    """Callers `acquire` before a turn and `release` at its end."""

    def __init__(self, max_turns: int) -> None:
        self._max, self._running = max_turns, 0

    def acquire(self) -> None:
        """Count a turn. Raises TooMany."""
        if self._running >= self._max:
            raise TooMany(
                f"{self._max} turns at once is the limit of a connection", code="too_many"
            )
        self._running += 1

    def release(self) -> None:
        """Count a turn as ended."""
        self._running -= 1

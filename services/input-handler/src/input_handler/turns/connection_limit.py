"""How many turns one connection has begun and not finished: written, spoken and uploaded ones alike."""

from service_runtime.http.errors import TooMany


class ConcurrencyLimit:
    """`take` before a turn, `free` at its end."""

    def __init__(self, max_turns: int) -> None:
        self._max, self._running = max_turns, 0

    def acquire(self) -> None:
        """Raises TooMany."""
        if self._running >= self._max:
            raise TooMany(
                f"{self._max} turns at once is the limit of a connection", code="too_many"
            )
        self._running += 1

    def release(self) -> None:
        """One is over."""
        self._running -= 1

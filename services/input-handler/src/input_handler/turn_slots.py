"""How many turns one connection has begun and not finished: written, spoken and uploaded ones alike."""

from service_runtime.errors import TooMany


class TurnSlots:
    """`take` before a turn, `free` at its end."""

    def __init__(self, at_once: int) -> None:
        self._at_once, self._taken = at_once, 0

    def take(self) -> None:
        """Raises TooMany."""
        if self._taken >= self._at_once:
            raise TooMany(
                f"{self._at_once} turns at once is the limit of a connection", code="too_many"
            )
        self._taken += 1

    def free(self) -> None:
        """One is over."""
        self._taken -= 1

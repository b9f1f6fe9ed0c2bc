"""Turns that this process has open: in all, of one client, and of one session. Nobody takes the places of all others."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from input_handler.errors import TooManyTurns


class RunningTurns:
    """Without a known client only the other two count: recordings that come out of a queue."""

    def __init__(self, *, in_all: int, a_client: int, a_session: int) -> None:
        self._in_all, self._a_client, self._a_session = in_all, a_client, a_session
        self._clients: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
        self._running = 0

    @contextmanager
    def place(self, session_id: str, client: str | None) -> Iterator[None]:
        """Hold one inside the block. Raises TooManyTurns."""
        if self._running >= self._in_all:
            raise TooManyTurns(
                f"{self._in_all} turns at once is the limit", limit=self._in_all, retry_after_s=1
            )
        if self._sessions[session_id] >= self._a_session:
            raise _full("session", self._a_session)
        if client is not None and self._clients[client] >= self._a_client:
            raise _full("client address", self._a_client)
        self._running += 1
        self._sessions[session_id] += 1
        if client is not None:
            self._clients[client] += 1
        try:
            yield
        finally:
            self._running -= 1
            _leave(self._sessions, session_id)
            if client is not None:
                _leave(self._clients, client)


def _full(whose: str, limit: int) -> TooManyTurns:
    return TooManyTurns(
        f"{limit} turns at once is the limit of a {whose}", limit=limit, retry_after_s=1
    )


def _leave(places: Counter[str], name: str) -> None:
    places[name] -= 1
    if not places[name]:
        del places[name]

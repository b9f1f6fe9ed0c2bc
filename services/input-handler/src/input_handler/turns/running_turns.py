"""Limits the open turns of this process: in all, per client and per session."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from input_handler.errors import TooManyTurns


class RunningTurns:
    """Turns without a client, such as recordings from a queue, count only for the other two limits."""

    def __init__(self, *, max_total: int, max_per_client: int, max_per_session: int) -> None:
        self._max_total, self._max_per_client, self._max_per_session = (
            max_total,
            max_per_client,
            max_per_session,
        )
        self._clients: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
        self._running = 0

    @contextmanager
    def slot(self, session_id: str, client: str | None) -> Iterator[None]:
        """Count a turn inside the block. Raises TooManyTurns."""
        if self._running >= self._max_total:
            raise TooManyTurns(
                f"{self._max_total} turns at once is the limit",
                limit=self._max_total,
                retry_after_s=1,
            )
        if self._sessions[session_id] >= self._max_per_session:
            raise _limit_error("session", self._max_per_session)
        if client is not None and self._clients[client] >= self._max_per_client:
            raise _limit_error("client address", self._max_per_client)
        self._running += 1
        self._sessions[session_id] += 1
        if client is not None:
            self._clients[client] += 1
        try:
            yield
        finally:
            self._running -= 1
            _release(self._sessions, session_id)
            if client is not None:
                _release(self._clients, client)


def _limit_error(whose: str, limit: int) -> TooManyTurns:
    return TooManyTurns(
        f"{limit} turns at once is the limit of a {whose}", limit=limit, retry_after_s=1
    )


def _release(places: Counter[str], name: str) -> None:
    places[name] -= 1
    if not places[name]:
        del places[name]

"""Sessions in memory, so that a turn begins without a read from the database."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dialog_contracts import redis_names
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.sessions.session import MAX_REQUEST_IDS, Session
from dialog_engine.turn.runner import TurnRunner

MAX_IDLE_SESSIONS: Final = 1_000
"""Number of sessions in memory above which idle ones are dropped, least recently used first.

A dropped session is loaded from the database again when it is used.
"""


class SessionRegistry:
    """The sessions of this engine.

    `checkout` loads a session and keeps it in memory while in use.
    """

    def __init__(self, memory: ShortTermMemory) -> None:
        self._memory = memory
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def find(self, session_id: str) -> Session | None:
        """Return a session that is in memory, else None; it does not load one."""
        return self._sessions.get(session_id)

    def running(self) -> list[TurnRunner]:
        """All running turns."""
        return [
            session.running for session in self._sessions.values() if session.running is not None
        ]

    def forget_idle(self) -> None:
        """Drop every session that is not in use."""
        for name in [name for name, session in self._sessions.items() if session.idle]:
            del self._sessions[name]

    @asynccontextmanager
    async def checkout(self, session_id: str) -> AsyncIterator[Session]:
        """Load a session if needed. Raises apsw.Error if the database cannot be read."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id)
        self._sessions.move_to_end(session_id)
        session.ref_count += 1
        try:
            if not session.loaded:
                async with session.lock:
                    if not session.loaded:
                        session.load(
                            await self._memory.load(
                                session_id, redis_names.HISTORY_TURNS, MAX_REQUEST_IDS
                            )
                        )
            yield session
        finally:
            session.ref_count -= 1
            self._evict_idle()

    def _evict_idle(self) -> None:
        excess = len(self._sessions) - MAX_IDLE_SESSIONS
        if excess <= 0:
            return
        for name in [name for name, session in self._sessions.items() if session.idle][:excess]:
            del self._sessions[name]

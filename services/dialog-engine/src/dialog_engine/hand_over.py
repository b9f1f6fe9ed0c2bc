"""How sessions leave this engine: one by one when it ends, or because another engine took them."""

import structlog

from dialog_engine.ownership import Ownership
from dialog_engine.sessions import Session, Sessions
from dialog_engine.shared_history import SharedHistory
from service_runtime.tasks import TaskOwner

log = structlog.get_logger("hand_over")


class HandOver:
    """`leave` once, when the process is told to end; `stored` after each commit, `ended` after each turn."""

    def __init__(
        self, sessions: Sessions, ownership: Ownership, history: SharedHistory, tasks: TaskOwner
    ) -> None:
        self._sessions, self._ownership, self._history, self._tasks = (
            sessions,
            ownership,
            history,
            tasks,
        )
        ownership.lost = self._lost

    def start(self) -> None:
        """Keep the leases of sessions in use."""
        self._tasks.keep("leases", lambda: self._ownership.run(self._in_use))

    def leave(self) -> None:
        """No turn begins here any more, and sessions go to other engines as soon as their text is stored."""
        if self._ownership.draining:
            return
        self._ownership.draining = True
        log.info("leaving", sessions=len(self._ownership.held))
        for session_id in self._ownership.held:
            self._tasks.start("hand-over", self._give_away(session_id))

    def stored(self, session: Session) -> None:
        """A turn, or a later form of it, is durable: the history of both paths gets it."""
        work = (
            self._give_away(session.session_id)
            if self._ownership.draining
            else self._history.publish(session)
        )
        self._tasks.start("history", work)

    def ended(self, session: Session) -> None:
        """Nothing of a turn is left to do."""
        if self._ownership.draining:
            self._tasks.start("hand-over", self._over(session))

    async def _over(self, session: Session) -> None:
        await self._give_away(session.session_id)
        await self._ownership.hushed(session.session_id, session.last_turn)

    async def _give_away(self, session_id: str) -> None:
        """Once its history is where the next owner reads it; a session whose turn is still written waits for the commit."""
        session = self._sessions.find(session_id)
        if session is not None:
            if session.running is not None and not session.running.written:
                return
            await self._history.publish(session)
        running = session.running if session is not None else None
        sounding = running.order.turn if running is not None and running.sounding else 0
        await self._ownership.give_back(session_id, sounding=sounding)

    def _in_use(self, session_id: str) -> bool:
        session = self._sessions.find(session_id)
        return session is not None and not session.idle

    def _lost(self, session_id: str) -> None:
        session = self._sessions.find(session_id)
        if session is not None and session.running is not None:
            session.running.session_lost()

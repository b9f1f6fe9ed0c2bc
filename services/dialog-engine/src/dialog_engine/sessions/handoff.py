"""How sessions leave this engine: one by one when it ends, or because another engine took them."""

import structlog

from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.sessions.registry import SessionRegistry
from dialog_engine.sessions.session import Session
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("handoff")


class SessionHandoff:
    """`leave` once, when the process is told to end; `stored` after each commit, `ended` after each turn."""

    def __init__(
        self,
        sessions: SessionRegistry,
        leases: SessionLeases,
        history: HistorySync,
        tasks: BackgroundTasks,
    ) -> None:
        self._sessions, self._leases, self._history, self._tasks = (
            sessions,
            leases,
            history,
            tasks,
        )

    def start(self) -> None:
        """Keep the leases of sessions in use."""
        self._tasks.run_forever(
            "leases", lambda: self._leases.renew_forever(self._in_use, self._on_lease_lost)
        )

    def start_draining(self) -> None:
        """No turn begins here any more, and sessions go to other engines as soon as their text is stored."""
        if self._leases.draining:
            return
        self._leases.draining = True
        log.info("handoff_started", sessions=len(self._leases.session_ids))
        for session_id in self._leases.session_ids:
            self._tasks.start("hand-over", self._release(session_id))

    def on_turn_stored(self, session: Session) -> None:
        """A turn, or a later form of it, is durable: the history of both paths gets it."""
        work = (
            self._release(session.session_id)
            if self._leases.draining
            else self._history.publish(session)
        )
        self._tasks.start("history", work)

    def on_turn_ended(self, session: Session) -> None:
        """Nothing of a turn is left to do."""
        if self._leases.draining:
            self._tasks.start("hand-over", self._finish(session))

    async def _finish(self, session: Session) -> None:
        await self._release(session.session_id)
        await self._leases.playback_finished(session.session_id, session.last_turn)

    async def _release(self, session_id: str) -> None:
        """Once its history is where the next owner reads it; a session whose turn is still written waits for the commit."""
        session = self._sessions.find(session_id)
        if session is not None:
            if session.running is not None and not session.running.text_settled:
                return
            await self._history.publish(session)
        running = session.running if session is not None else None
        playing = running.request.turn if running is not None and running.playing else 0
        await self._leases.release(session_id, playing_turn=playing)

    def _in_use(self, session_id: str) -> bool:
        session = self._sessions.find(session_id)
        return session is not None and not session.idle

    def _on_lease_lost(self, session_id: str) -> None:
        session = self._sessions.find(session_id)
        if session is not None and session.running is not None:
            session.running.session_lost()

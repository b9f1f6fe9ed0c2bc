"""The handoff: how this engine releases its sessions at shutdown.

On SIGTERM the engine begins no new turn. A session without a running turn is published to Redis and
released at once. A session whose reply is still being written is released after the commit: until
then another engine could not read the turn, and its prompt would lack it.

A released session may still play. Its turn is then recorded as playing elsewhere
(`ActivePlayback`), so that the next lease holder can interrupt it and wait for its played text.
When the turn has ended, its final text is published and the record is removed.

The module also watches the leases: a turn stops when another engine has acquired its session.
Leases are in `leases.py`, and the shared history is in `history_sync.py`.
"""

import structlog

from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.sessions.registry import SessionRegistry
from dialog_engine.sessions.session import Session
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("handoff")


class SessionHandoff:
    """Publishes and releases sessions.

    `start_draining` is called at shutdown, `on_turn_stored` after each commit and `on_turn_ended`
    after each turn.
    """

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
        """Begin to renew the leases of sessions in use."""
        self._tasks.run_forever(
            "leases", lambda: self._leases.renew_forever(self._in_use, self._on_lease_lost)
        )

    def start_draining(self) -> None:
        """Begin no more turns, and release each session as soon as its text is stored.

        Only the first call has an effect.
        """
        if self._leases.draining:
            return
        self._leases.draining = True
        log.info("handoff_started", sessions=len(self._leases.session_ids))
        for session_id in self._leases.session_ids:
            self._tasks.start("hand-over", self._release(session_id))

    def on_turn_stored(self, session: Session) -> None:
        """Publish the history after a commit; while draining, also release the session."""
        work = (
            self._release(session.session_id)
            if self._leases.draining
            else self._history.publish(session)
        )
        self._tasks.start("history", work)

    def on_turn_ended(self, session: Session) -> None:
        """While draining, release the session and record that its turn no longer plays."""
        if self._leases.draining:
            self._tasks.start("hand-over", self._finish(session))

    async def _finish(self, session: Session) -> None:
        await self._release(session.session_id)
        await self._leases.playback_finished(session.session_id, session.last_turn)

    async def _release(self, session_id: str) -> None:
        """Publish the history and release the lease, unless a reply is still being written.

        In that case the commit calls this method again.
        """
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

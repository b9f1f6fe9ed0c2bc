"""All sessions and all engines of this output-handler.

A session exists while it has viewers, and for `linger_s` after the last one left, so that a reload
misses nothing. This output-handler subscribes to it at every engine; the engine whose START has the
newest epoch plays it. Frames of any other engine are dropped, since that engine has lost the lease.

A STOP, PAUSE or RESUME may reach any output-handler. If the session plays here, it is handled here;
otherwise `ControlQuery` asks all engines.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import structlog
from pydantic import ValidationError

from dialog_contracts.ingest import (
    TO_OUTPUT,
    Heartbeat,
    PlaybackControl,
    Start,
    Stop,
    StopResult,
    Subscribe,
)
from dialog_contracts.input_socket import UserSpeaking
from dialog_redis.client import RedisUnavailable
from dialog_redis.session_history import SessionHistory
from dialog_telemetry import metrics
from output_handler.errors import BARGE_IN_OFF, BargeInOff, UnknownSession
from output_handler.ingest.connection import EngineConnection
from output_handler.ingest.control_query import ControlQuery
from output_handler.legacy.response_player import LegacyResponsePlayer
from output_handler.legacy.response_source import ResponseSource
from output_handler.playback.ports import PlaybackTarget
from output_handler.playback.session import PlaybackSession
from output_handler.viewers.viewer import Viewer

log = structlog.get_logger("hub")

MAX_REMEMBERED_SESSIONS: Final = 10_000


def clock_ms() -> float:
    """Return ms of this output-handler's clock, which START, STATE and TIME use."""
    return time.monotonic() * 1000


class Hub:
    """Connects engines and viewers to sessions."""

    def __init__(
        self,
        linger_s: float,
        *,
        legacy: ResponseSource | None = None,
        publish_stop: Callable[[Stop], None] = lambda _: None,
        truncate_reply: Callable[[Stop], None] = lambda _: None,
        history: SessionHistory | None = None,
    ) -> None:
        """`publish_stop` reaches all output-handlers; `truncate_reply` shortens a stored reply."""
        self._linger_s, self._legacy, self._history = linger_s, legacy, history
        self._publish_stop, self._truncate_reply = publish_stop, truncate_reply
        self._sessions: dict[str, PlaybackSession] = {}
        self._players: dict[str, LegacyResponsePlayer] = {}
        self._engine_by_session: dict[str, EngineConnection] = {}
        self._engines: set[EngineConnection] = set()
        self._query = ControlQuery(self._engines)
        self.had_engine = False
        self._sessions_seen: OrderedDict[str, None] = OrderedDict()
        self._lingering: dict[str, asyncio.TimerHandle] = {}

    @property
    def engines(self) -> int:
        """Number of connected engines."""
        return len(self._engines)

    def session(self, session_id: str) -> PlaybackSession | None:
        """Return a session that has viewers, or had them within `linger_s`."""
        return self._sessions.get(session_id)

    def engine_joined(self, engine: EngineConnection) -> None:
        """Add an engine and tell it which sessions are played here."""
        self._engines.add(engine)
        self.had_engine = True
        metrics.INGEST_LINKS.inc()
        for session_id in self._sessions:
            engine.send(Subscribe(action="SUBSCRIBE", session_id=session_id).to_json())
        log.info("engine_connected", engines=len(self._engines))

    def engine_left(self, engine: EngineConnection) -> None:
        """Remove an engine; its turns end with `engine_lost`."""
        self._engines.discard(engine)
        self._query.engine_left(engine)
        metrics.INGEST_LINKS.dec()
        for session_id in self._sessions_of(engine):
            if session_id in self._sessions:
                self._sessions[session_id].engine_lost(for_good=True)
            del self._engine_by_session[session_id]
        log.info("engine_disconnected", engines=len(self._engines))

    def engine_timed_out(self, engine: EngineConnection) -> list[str]:
        """Tell the viewers of an engine's turns that no frame arrives; return its sessions."""
        sessions = self._sessions_of(engine)
        for session_id in sessions:
            if session_id in self._sessions:
                self._sessions[session_id].engine_lost(for_good=False)
        return sessions

    def engine_recovered(self, engine: EngineConnection) -> list[str]:
        """Continue the turns of an engine that was only late; return its sessions."""
        sessions = self._sessions_of(engine)
        for session_id in sessions:
            if session_id in self._sessions:
                self._sessions[session_id].engine_back()
        return sessions

    def _sessions_of(self, engine: EngineConnection) -> list[str]:
        return [name for name, owner in self._engine_by_session.items() if owner is engine]

    def on_engine_frame(self, engine: EngineConnection, raw: str) -> None:
        """Handle one frame of an engine; a frame that fits no schema is counted and dropped."""
        try:
            frame = TO_OUTPUT.validate_json(raw)
        except ValidationError as error:
            metrics.REQUESTS_REJECTED.labels(code="bad_ingest_frame").inc()
            log.warning("bad_ingest_frame", error=str(error)[:200])
            return
        if isinstance(frame, Heartbeat):
            engine.supports_heartbeat = True
            return
        if isinstance(frame, StopResult):
            self._query.on_result(engine, frame)
            return
        session = self._sessions.get(frame.session_id)
        if session is None:
            return
        if isinstance(frame, Start) and not session.is_stale(frame):
            before = self._engine_by_session.get(frame.session_id)
            if before is not None and before is not engine and frame.epoch > session.epoch:
                # The session has moved in the middle of a turn: the engine before must stop it.
                session.moved()
            self._engine_by_session[frame.session_id] = engine
        if self._engine_by_session.get(frame.session_id) is not engine:
            # This engine has lost the session and does not know it yet.
            metrics.REQUESTS_REJECTED.labels(code="not_the_owner").inc()
            return
        session.on_frame(frame, raw)

    def viewer_joined(self, viewer: Viewer) -> PlaybackSession:
        """Add a viewer; the first one subscribes to the session at every engine."""
        session = self._sessions.get(viewer.session_id)
        if session is None:
            session = self._subscribe(viewer.session_id)
        timer = self._lingering.pop(viewer.session_id, None)
        if timer is not None:
            timer.cancel()
        session.join(viewer)
        return session

    def viewer_left(self, viewer: Viewer) -> None:
        """Remove a viewer; without any the session stays subscribed for `linger_s`."""
        session = self._sessions[viewer.session_id]
        session.leave(viewer)
        if not session.viewers:
            loop = asyncio.get_running_loop()
            self._lingering[viewer.session_id] = loop.call_later(
                self._linger_s, self._unsubscribe, viewer.session_id
            )

    async def stop(self, session_id: str, turn: int | None, reason: str) -> bool:
        """Stop a session's turn; return False when nothing plays, here or elsewhere.

        Raises UnknownSession or BargeInOff.
        """
        session = self._sessions.get(session_id)
        if session is not None and session.stop(turn, reason):
            return True
        if session_id in self._engine_by_session:
            # The engine that plays the session is connected here, so nothing plays elsewhere.
            return False
        stop = Stop(session_id=session_id, turn=turn, reason=reason)
        self._publish_stop(stop)
        return (await self._query_engines(stop))[0]

    def file_stopped(self, stop: Stop) -> None:
        """Stop the file that plays here, because any output-handler has stopped it."""
        session = self._sessions.get(stop.session_id)
        if session is not None:
            session.file_stopped(stop)

    def _report_played_text(self, stop: Stop) -> None:
        """Truncate the stored reply in Redis and at every engine to what was played of its file."""
        self._truncate_reply(stop)
        for engine in self._engines:
            engine.send(stop.to_json())

    def user_speaking(self, notice: UserSpeaking) -> None:
        """Note that a user starts or stops speaking into a microphone of a session."""
        session = self._sessions.get(notice.session_id)
        if session is not None:
            session.user_speaking(notice.microphone, speaking=notice.speaking)

    async def set_paused(
        self, action: Literal["PAUSE", "RESUME"], session_id: str, turn: int | None
    ) -> tuple[bool, int | None]:
        """Pause or resume a session's turn; return whether there was one, and its number.

        Raises UnknownSession or BargeInOff.
        """
        session = self._sessions.get(session_id)
        if session is not None and session.request_pause(action, turn):
            return True, session.turn.number
        if session_id in self._engine_by_session:
            return False, None
        return await self._query_engines(
            PlaybackControl(action=action, session_id=session_id, turn=turn)
        )

    async def _query_engines(self, asked: Stop | PlaybackControl) -> tuple[bool, int | None]:
        outcome, turn = await self._query.broadcast(asked)
        if outcome == "refused":
            raise BargeInOff(BARGE_IN_OFF)
        if outcome == "unknown" and not await self._session_exists(asked.session_id):
            raise UnknownSession(f"session {asked.session_id} was never played", field="sessionId")
        return outcome == "stopped", turn

    async def _session_exists(self, session_id: str) -> bool:
        """Return whether the session was ever played, by this or another output-handler."""
        if session_id in self._sessions_seen or self._history is None:
            return session_id in self._sessions_seen
        try:
            return await self._history.exists(session_id)
        except RedisUnavailable:
            return False

    def close(self) -> None:
        """Close all sessions."""
        for timer in self._lingering.values():
            timer.cancel()
        for session_id, session in self._sessions.items():
            session.close()
            self._unwatch(session_id)

    def _subscribe(self, session_id: str) -> PlaybackSession:
        def to_engine(frame: str) -> None:
            owner = self._engine_by_session.get(session_id)
            if owner is not None:
                owner.send(frame)

        make_player = None
        if self._legacy is not None:
            make_player = partial(self._make_player, session_id, self._legacy)
        session = self._sessions[session_id] = PlaybackSession(
            session_id,
            clock_ms,
            to_engine,
            publish_stop=self._publish_stop,
            report_played_text=self._report_played_text,
            make_player=make_player,
        )
        self._sessions_seen[session_id] = None
        self._sessions_seen.move_to_end(session_id)
        while len(self._sessions_seen) > MAX_REMEMBERED_SESSIONS:
            self._sessions_seen.popitem(last=False)
        self._send_to_engines(Subscribe(action="SUBSCRIBE", session_id=session_id))
        return session

    def _unsubscribe(self, session_id: str) -> None:
        self._lingering.pop(session_id, None)
        self._engine_by_session.pop(session_id, None)
        self._sessions.pop(session_id).close()
        self._unwatch(session_id)
        self._send_to_engines(Subscribe(action="UNSUBSCRIBE", session_id=session_id))

    def _make_player(
        self, session_id: str, legacy: ResponseSource, target: PlaybackTarget
    ) -> LegacyResponsePlayer:
        player = self._players[session_id] = LegacyResponsePlayer(target, legacy)
        legacy.subscription.subscribe(session_id, player.on_response, unheard=True)
        return player

    def _unwatch(self, session_id: str) -> None:
        player = self._players.pop(session_id, None)
        if player is not None and self._legacy is not None:
            self._legacy.subscription.unsubscribe(session_id, player.on_response)

    def _send_to_engines(self, frame: Subscribe) -> None:
        for engine in self._engines:
            engine.send(frame.to_json())

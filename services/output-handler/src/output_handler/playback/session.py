"""One session: carries out what its playback machine decides.

Frames of engines, requests and timers go into the machine (`state_machine.py`); the actions that come out
go to the viewers, to the engine, to timers, and to the player of legacy responses. Turns of an
engine that must wait for a file to end are kept in `DeferredTurns`.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import structlog

from dialog_contracts import binary
from dialog_contracts.ingest import (
    End,
    PlaybackControl,
    Played,
    SpeechChunk,
    Start,
    Stop,
    StopAck,
    TextDelta,
)
from dialog_contracts.model import correlation_id
from dialog_contracts.viewer import Phase
from dialog_media.playback_positions import PlaybackPositions
from dialog_telemetry import metrics, trace_context
from output_handler.errors import BargeInOff
from output_handler.legacy.deferred_turns import DeferredTurns
from output_handler.playback import actions
from output_handler.playback.idle import IdleController
from output_handler.playback.ports import LegacyPlayer, NoLegacyPlayer, PlaybackTarget
from output_handler.playback.state_machine import PlaybackState
from output_handler.playback.timer import ResettableTimer
from output_handler.playback.turn import AudioFrame, AudioSource, PlaybackTurn
from output_handler.viewers.group import ViewerGroup
from output_handler.viewers.viewer import Viewer

log = structlog.get_logger("session")

PLAYED_INTERVAL_MS: Final = 150
"""Shortest interval in ms between two positions that are sent to the engine."""

MAX_PAUSE_S: Final = 5.0
"""Seconds after which a pause ends by itself."""


def _ignore(_: Stop) -> None:
    """For a session without other output-handlers and without a history."""


class PlaybackSession:
    """`to_engine` sends a frame (JSON) to the engine of the present turn; `clock` gives ms.

    `publish_stop` reaches the other output-handlers, `report_played_text` history and engines;
    `make_player` makes the player of legacy responses, where the legacy pipeline runs.
    """

    def __init__(
        self,
        session_id: str,
        clock: Callable[[], float],
        to_engine: Callable[[str], None],
        *,
        publish_stop: Callable[[Stop], None] = _ignore,
        report_played_text: Callable[[Stop], None] = _ignore,
        make_player: Callable[[PlaybackTarget], LegacyPlayer] | None = None,
    ) -> None:
        self.session_id, self.clock = session_id, clock
        self.viewer_group = ViewerGroup(session_id)
        self.log_fields: dict[str, str] = {}
        """What log lines of the present turn carry."""

        self._to_engine = to_engine
        self._publish_stop, self._report_played_text = publish_stop, report_played_text
        self._state = PlaybackState(session_id, files=make_player is not None)
        self._idle = IdleController(self._on_idle, lambda: self.turn.phase is Phase.IDLE)
        self._pause_end = ResettableTimer(self._on_pause_timeout)
        self._deferred = DeferredTurns(self._state, clock, self._on_frame, self._engine_gone)
        self._positions: PlaybackPositions[Viewer] = PlaybackPositions()
        self._played_at_ms = 0.0
        self.player = make_player(self) if make_player is not None else NoLegacyPlayer()

    @property
    def turn(self) -> PlaybackTurn:
        """The present turn; number 0 before the first one."""
        return self._state.turn

    @property
    def epoch(self) -> int:
        """The epoch of the present lease holder."""
        return self._state.epoch

    @property
    def viewers(self) -> set[Viewer]:
        """The viewers of this session."""
        return self.viewer_group.viewers

    @property
    def has_deferred_turns(self) -> bool:
        """Whether turns of an engine wait behind the present one."""
        return bool(self._deferred)

    @property
    def idle_phase(self) -> Phase:
        """The phase while no turn plays: IDLE, or LISTENING to a user."""
        return self._idle.phase

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; in the middle of a turn it starts at the live position."""
        self.viewer_group.add(viewer, self.turn, self.clock(), idle_phase=self._idle.phase)
        self.player.viewer_joined(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.viewer_group.remove(viewer)
        self._positions.remove(viewer)

    def close(self) -> None:
        """End the session."""
        self._idle.close()
        self._pause_end.cancel()
        self.player.close()

    # Frames of engines.

    def is_stale(self, start: Start) -> bool:
        """Whether a START comes from an earlier lease holder, or is of an earlier turn."""
        return self._state.is_stale(start)

    def on_frame(
        self, frame: Start | SpeechChunk | TextDelta | End | StopAck | PlaybackControl, raw: str
    ) -> None:
        """A frame from an engine; `raw` is its JSON."""
        if not self._deferred.defer(frame, raw):
            self._on_frame(frame, raw)

    def _on_frame(
        self, frame: Start | SpeechChunk | TextDelta | End | StopAck | PlaybackControl, raw: str
    ) -> None:
        state, now = self._state, self.clock()
        of_present = frame.turn == state.turn.number
        if of_present:
            self._apply(state.engine_back(now))
        if isinstance(frame, SpeechChunk):
            self.play_chunk(frame, raw)
        elif isinstance(frame, Start):
            self._apply(state.start(frame, now))
        elif not of_present or state.turn.source is not AudioSource.ENGINE:
            log.debug("stale_frame", **self.log_fields)
        elif isinstance(frame, PlaybackControl):
            self._apply(state.apply_pause(frame.action, now))
        elif isinstance(frame, TextDelta):
            self._apply(state.caption(frame, raw))
        elif isinstance(frame, End):
            self._apply(state.end(frame, raw, now))
        else:
            self._apply(state.stop_ack(frame, raw, now))

    def engine_lost(self, *, for_good: bool = True) -> None:
        """Note that no frame arrives: the socket has ended (`for_good`), or the engine is late."""
        if for_good:
            self._deferred.engine_lost()
        self._apply(self._state.engine_lost(self.clock(), for_good=for_good))

    def engine_back(self) -> None:
        """Note that frames arrive again from an engine that was late."""
        self._apply(self._state.engine_back(self.clock()))

    def moved(self) -> None:
        """Stop the turn of an engine that has lost the lease."""
        self._apply(self._state.moved(self.clock()))

    def _engine_gone(self) -> None:
        self._apply(self._state.engine_lost(self.clock(), for_good=True))

    # Requests.

    def stop(self, turn: int | None, reason: str) -> bool:
        """STOP of this turn, or of whichever plays; false where nothing plays.

        Raises BargeInOff.
        """
        try:
            decided = self._state.stop(turn, reason, self.clock())
        except BargeInOff:
            metrics.STOPS.labels(outcome="refused").inc()
            raise
        metrics.STOPS.labels(outcome="stopped" if decided else "nothing_sounding").inc()
        self._apply(decided)
        return bool(decided)

    def file_stopped(self, stop: Stop) -> None:
        """Another output-handler has stopped its copy of the file that plays here."""
        self._apply(self._state.file_stopped(stop, self.clock()))

    def request_pause(self, action: Literal["PAUSE", "RESUME"], turn: int | None) -> bool:
        """PAUSE or RESUME; false where there was nothing to do. Raises BargeInOff."""
        decided = self._state.request_pause(action, turn, self.clock())
        self._apply(decided)
        return bool(decided)

    def user_speaking(self, microphone: str, *, speaking: bool) -> None:
        """A user speaks, or has finished: viewers see LISTENING, unless a turn plays."""
        self._idle.user_speaking(microphone, speaking=speaking)

    def played(self, viewer: Viewer, frame: Played) -> None:
        """A viewer's position. The engine is told the session's, at most every 150 ms."""
        now, turn = self.clock(), self.turn
        if frame.turn != turn.number:
            return
        if not turn.may_have_played(frame.offset_ms, now):
            metrics.REQUESTS_REJECTED.labels(code="position_from_the_future").inc()
            return
        self._positions.report(viewer, frame.offset_ms, now, speaker=bool(frame.speaker))
        position = self._positions.current(now)
        due = now - self._played_at_ms >= PLAYED_INTERVAL_MS
        if position is None or turn.source is not AudioSource.ENGINE or not due:
            return
        self._played_at_ms = now
        report = Played(
            session_id=self.session_id,
            turn=turn.number,
            offset_ms=round(position),
            speaker=self._positions.speaker_reports(now) or None,
            viewers=self._positions.count(now),
        )
        self._to_engine(report.to_json())

    # What the player of legacy responses does.

    def open_file(self, start: Start, text: TextDelta) -> PlaybackTurn:
        """Begin a turn whose audio is a file."""
        self._apply(self._state.open_file(start, text, self.clock()))
        return self.turn

    def take_file(self, duration_ms: int) -> None:
        """The file of the present turn is there."""
        self._state.take_file(duration_ms)

    def play_chunk(self, frame: SpeechChunk, raw: str) -> None:
        """A chunk of the present turn; any other is dropped."""
        packed = binary.pack(frame) if any(viewer.binary for viewer in self.viewers) else None
        sound = AudioFrame(frame.seq, frame.offset_ms, frame.duration_ms, raw, packed)
        self._apply(self._state.chunk(frame.turn, sound, self.clock()))

    def finish(self, frame: End) -> None:
        """All of the present turn was sent, or none of its file will be."""
        self._apply(self._state.finish(frame, self.clock()))

    def abandon(self) -> None:
        """Nothing more comes of the present turn."""
        self._apply(self._state.abandon(self.clock()))

    # Timers.

    def _on_idle(self) -> None:
        self._state.idle()
        self.viewer_group.send_phase(self._idle.phase, self.turn.number, self.clock())
        self._deferred.release()

    def _on_pause_timeout(self) -> None:
        self._apply(self._state.pause_timed_out(self.clock()))

    def _apply(self, decided: Sequence[actions.Action]) -> None:
        for action in decided:
            self._execute(action)

    def _execute(self, action: actions.Action) -> None:
        match action:
            case actions.SendAudio(sound):
                self.viewer_group.send_audio(sound)
            case actions.Broadcast(data):
                self.viewer_group.broadcast(data)
            case actions.SendPhase(phase, turn, at_ms):
                self.viewer_group.send_phase(phase, turn, at_ms)
            case actions.SendToEngine(data):
                self._to_engine(data)
            case actions.OpenTurn(start):
                self._opened(start)
            case actions.SendReply(text):
                self.viewer_group.reply(text)
            case actions.SendError(error):
                self.viewer_group.error(error)
            case actions.FlushViewers(stop, at_ms):
                self.viewer_group.flush(stop.to_json(), self.turn.number, at_ms)
            case actions.ScheduleIdle(seconds):
                self._idle.schedule(seconds)
            case actions.CancelIdle():
                self._idle.cancel()
            case actions.SchedulePauseEnd():
                self._pause_end.schedule(MAX_PAUSE_S)
            case actions.CancelPauseEnd():
                self._pause_end.cancel()
            case actions.AwaitFile():
                self.player.voice_awaited()
            case actions.PublishStop(stop):
                self._publish_stop(stop)
            case actions.ReportPlayedText(stop):
                self._report_played_text(stop)
            case actions.CountPause(name):
                metrics.PLAYBACK_PAUSES.labels(action=name).inc()
            case actions.CountGap(missing):
                metrics.CHUNK_GAPS.inc(missing)
            case actions.MeasureStop(elapsed_ms):
                metrics.STOP_SECONDS.observe(elapsed_ms / 1000)
            case actions.Log(event, level, fields):
                getattr(log, level)(event, **{**self.log_fields, **fields})

    def _opened(self, start: Start) -> None:
        self.log_fields = {"correlationId": correlation_id(self.session_id, start.turn)}
        trace_id = trace_context.trace_id(start.traceparent)
        if trace_id is not None:
            self.log_fields["trace_id"] = trace_id
        self._positions = PlaybackPositions()
        self.viewer_group.new_turn()

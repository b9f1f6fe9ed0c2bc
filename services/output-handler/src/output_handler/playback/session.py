"""One session: its present turn, its viewers, its phase. Frames go from engines to viewers; STOP and PAUSE go the other way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

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
from dialog_contracts.viewer import Phase, ViewerError
from dialog_telemetry import metrics, trace_context
from output_handler.legacy.deferred_turns import DeferredTurns
from output_handler.playback.idle import IdleController
from output_handler.playback.pause import PauseController
from output_handler.playback.positions import ViewerPositions
from output_handler.playback.stop import StopController
from output_handler.playback.turn import AudioFrame, PlaybackTurn
from output_handler.viewers.group import ViewerGroup
from output_handler.viewers.viewer import Viewer

if TYPE_CHECKING:
    from output_handler.legacy.response_player import LegacyResponsePlayer

log = structlog.get_logger("session")

PLAYED_INTERVAL_MS: Final = 150


class PlaybackSession:
    """`to_engine` sends a frame (JSON) to the engine that owns the present turn; `clock` gives ms."""

    def __init__(
        self, session_id: str, clock: Callable[[], float], to_engine: Callable[[str], None]
    ) -> None:
        self.session_id = session_id
        self.viewer_group = ViewerGroup(session_id)
        self.viewers = self.viewer_group.viewers
        self.broadcast = self.viewer_group.broadcast
        self.turn: PlaybackTurn | None = None
        self.legacy_player: LegacyResponsePlayer | None = None
        self.publish_stop: Callable[[Stop], None] = lambda _: None
        self.report_played_text: Callable[[Stop], None] = lambda _: None
        self.clock, self.to_engine = clock, to_engine
        self.epoch = 0
        self.idle = IdleController(
            self._on_idle, lambda: self.turn is None or self.turn.phase is Phase.IDLE
        )
        self.stopping, self.pausing, self.deferred = (
            StopController(self),
            PauseController(self),
            DeferredTurns(self),
        )
        self._positions: ViewerPositions[Viewer] = ViewerPositions()
        self._played_at = 0.0
        self.log_fields: dict[str, str] = {}
        """What log lines of the present turn carry."""

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; in the middle of a turn it starts at the live position."""
        self.viewer_group.add(viewer, self.turn, self.clock(), idle_phase=self.idle.phase)
        if self.legacy_player is not None:
            self.legacy_player.viewer_joined(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.viewer_group.remove(viewer)
        self._positions.remove(viewer)

    def on_frame(
        self, frame: Start | SpeechChunk | TextDelta | End | StopAck | PlaybackControl, raw: str
    ) -> None:
        """A frame from an engine; `raw` is its JSON."""
        if self.deferred.defer(frame, raw):
            return
        if self.turn is not None and self.turn.lost and frame.turn == self.turn.turn:
            self.engine_back()
        if isinstance(frame, SpeechChunk):
            self.play_chunk(frame, raw)
        elif isinstance(frame, Start):
            self._start(frame)
        elif self.turn is None or frame.turn != self.turn.turn or self.turn.from_file:
            log.debug("stale_frame", **self.log_fields)
        elif isinstance(frame, PlaybackControl):
            # From another output-handler, by way of the engine, which knows it.
            self.pausing.apply(self.turn, frame.action)
        elif isinstance(frame, TextDelta):
            self.add_caption(frame, raw)
        elif isinstance(frame, End):
            self._end(frame, raw)
        else:
            self.stopping.on_stop_ack(self.turn, frame, raw)

    def played(self, viewer: Viewer, frame: Played) -> None:
        """A viewer's position. The engine is told where the session's ear is, at most every 150 ms."""
        now, view = self.clock(), self.turn
        if view is None or frame.turn != view.turn:
            return
        at, speaker = frame.offset_ms, bool(frame.speaker)
        if not self._positions.report(
            viewer, at, now, clock_ms=view.position_ms(now), sent_ms=view.sent_ms, speaker=speaker
        ):
            metrics.REQUESTS_REJECTED.labels(code="position_from_the_future").inc()
            return
        position = self._positions.current(now)
        if (
            position is not None
            and not view.from_file
            and now - self._played_at >= PLAYED_INTERVAL_MS
        ):
            self._played_at = now
            self.to_engine(
                Played(
                    session_id=self.session_id,
                    turn=view.turn,
                    offset_ms=round(position),
                    speaker=self._positions.speaker_reports(now) or None,
                    viewers=self._positions.count(now),
                ).to_json()
            )

    def engine_lost(self, *, for_good: bool = True) -> None:
        """Nothing is heard of the engine of the present turn: viewers are told, and what was sent still sounds."""
        view = self.turn
        if for_good:
            self.deferred.engine_lost()
        if view is None or view.ended or view.stopped or view.from_file:
            return
        view.ended = for_good
        if not view.lost:
            view.lost = True
            self.viewer_group.error(
                ViewerError(
                    code="engine_lost", message="the connection to the engine broke in mid-turn"
                )
            )
        self.idle_when_played(view)

    def engine_back(self) -> None:
        """It only stood still for a moment; the present turn goes on."""
        view = self.turn
        if view is None or not view.lost or view.ended or view.stopped:
            return
        view.lost = False
        self.idle.cancel()
        if view.audio_started_at_ms is None and view.phase is Phase.IDLE:
            view.phase = Phase.THINKING
            self.viewer_group.send_phase(Phase.THINKING, view.turn, self.clock())
        log.info("turn_resumed_by_engine", **self.log_fields)

    def user_speaking(self, microphone: str, *, speaking: bool) -> None:
        """Somebody speaks into a microphone, or has finished: her viewers see that she listens, unless a turn is on."""
        self.idle.user_speaking(microphone, speaking=speaking)

    def close(self) -> None:
        """Nothing follows."""
        self.idle.close()
        self.pausing.reset()

    def is_stale(self, start: Start) -> bool:
        """Whether a START comes from an owner of before, or is of a turn of before."""
        if start.epoch != self.epoch or self.turn is None:
            return start.epoch < self.epoch
        return start.turn < self.turn.turn

    def open(self, frame: Start) -> PlaybackTurn:
        """A turn begins, from an engine or from a file."""
        now = self.clock()
        self.idle.cancel()
        self.pausing.reset()
        view = self.turn = PlaybackTurn.from_start(frame, now)
        self.log_fields = {"correlationId": correlation_id(self.session_id, frame.turn)}
        trace_id = trace_context.trace_id(frame.traceparent)
        if trace_id is not None:
            self.log_fields["trace_id"] = trace_id
        self._positions = ViewerPositions()
        self.viewer_group.new_turn()
        self.broadcast(view.start_json)
        self.viewer_group.send_phase(Phase.THINKING, frame.turn, now)
        log.info("turn_started", viewers=len(self.viewers), **self.log_fields)
        return view

    def play_chunk(self, frame: SpeechChunk, raw: str) -> None:
        """A chunk of the present turn; any other is dropped."""
        view = self.turn
        if view is None or frame.turn != view.turn or view.stopped:
            return
        missing = view.check_sequence(frame.seq)
        if missing < 0:
            return
        if missing > 0:
            metrics.CHUNK_GAPS.inc(missing)
            log.warning("chunk_gap", missing=missing, seq=frame.seq, **self.log_fields)
            self.broadcast(
                ViewerError(
                    code="chunk_gap", message=f"{missing} chunks of turn {view.turn} are missing"
                ).to_json()
            )
        now = self.clock()
        moved = view.schedule(frame.offset_ms, frame.duration_ms, now)
        if moved:
            self.viewer_group.send_phase(Phase.SPEAKING, view.turn, view.audio_started_at_ms or now)
        packed = binary.pack(frame) if any(viewer.binary for viewer in self.viewers) else None
        sound = AudioFrame(frame.seq, frame.offset_ms, frame.duration_ms, raw, packed)
        self.viewer_group.send_audio(sound)
        view.buffer(sound, now)
        if moved and frame.seq > 0:
            log.info("clock_moved", offset_ms=frame.offset_ms, **self.log_fields)
        elif moved:
            log.info(
                "speech_started", after_ms=round(now - view.opened_at_ms, 1), **self.log_fields
            )

    def add_caption(self, frame: TextDelta, raw: str) -> None:
        """A piece of the present turn's reply."""
        view = self.turn
        assert view is not None
        if view.stopped:
            return
        # After a reconnect the text so far comes again from its beginning.
        view.text = view.text[: frame.text_start] + frame.content
        view.text_ended = frame.eos
        self.broadcast(raw)

    def finish(self, view: PlaybackTurn, frame: End, raw: str | None = None) -> None:
        """All of the present turn was sent; `raw` is the JSON of its END. It is IDLE once it was heard."""
        view.ended, view.awaiting_file = True, False
        self.broadcast(raw or frame.to_json())
        self.send_reply(view)
        log.info("turn_sent", audio_ms=frame.audio_ms, **self.log_fields)
        self.idle_when_played(view)

    def idle_when_played(self, view: PlaybackTurn) -> None:
        """Nothing more is to come of the present turn."""
        if view.paused_at is not None:
            return
        self.idle.schedule(
            max(0.0, view.sent_ms - view.position_ms(self.clock())) / 1000
            if view.audio_started_at_ms is not None
            else 0
        )

    def _start(self, frame: Start) -> None:
        view = self.turn
        if self.is_stale(frame):
            log.warning("stale_start", turn=frame.turn, epoch=frame.epoch, **self.log_fields)
            return
        if view is not None and frame.turn == view.turn and view.interrupted:
            # It fell back, or moved, while it was being stopped: it stays silent here, whoever speaks it.
            self.epoch = frame.epoch
            log.warning("stopped_turn_restarted", path=frame.path, **self.log_fields)
            return
        if (
            view is not None
            and frame.turn == view.turn
            and (view.from_file or frame.epoch == self.epoch)
        ):
            # The engine tells a running turn again after a reconnect; viewers know it already. One that a file speaks is out of its hands.
            view.ended = view.ended and view.from_file
            self.engine_back()
            return
        if view is not None and view.awaiting_file:
            self.finish(view, End(session_id=self.session_id, turn=view.turn, audio_ms=0))
        elif view is not None and view.from_file and view.playing(self.clock()):
            self.stopping.stop_file(view, "new_turn", known=False)
        self.epoch = frame.epoch
        self.open(frame)

    def _end(self, frame: End, raw: str) -> None:
        view = self.turn
        assert view is not None
        if view.stopped:
            view.ended = True
        elif frame.voice_follows and self.legacy_player is not None:
            view.from_file = view.awaiting_file = True
            self.legacy_player.voice_awaited(view)
        else:
            self.finish(view, frame, raw)

    def send_reply(self, view: PlaybackTurn) -> None:
        """The older dialect gets its answer, once."""
        if not view.replied:
            view.replied = True
            self.viewer_group.reply(view.text)

    def _on_idle(self) -> None:
        if self.turn is not None:
            self.turn.phase = Phase.IDLE
            self.turn.recent.clear()
        self.viewer_group.send_phase(
            self.idle.phase, self.turn.turn if self.turn is not None else 0, self.clock()
        )
        self.deferred.release()

"""One session: its present turn, its viewers, its phase. Frames go from engines to viewers; STOP and PAUSE go the other way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from dialog_contracts import binary
from dialog_contracts.ingest import End, Hold, Played, SpeechChunk, Start, Stop, StopAck, TextDelta
from dialog_contracts.model import correlation_id
from dialog_contracts.viewer import Phase, ViewerError
from dialog_telemetry import metrics, trace_context
from output_handler.audience import Audience
from output_handler.ears import Ears
from output_handler.pause import Pause
from output_handler.rest import Rest
from output_handler.silence import Silence
from output_handler.turn_view import Sound, TurnView
from output_handler.turns_behind import TurnsBehind
from output_handler.viewer import Viewer

if TYPE_CHECKING:
    from output_handler.answer_player import AnswerPlayer

log = structlog.get_logger("session")

PLAYED_EVERY_MS: Final = 150


class Session:
    """`to_engine` sends a frame (JSON) to the engine that owns the present turn; `clock` gives ms."""

    def __init__(
        self, session_id: str, clock: Callable[[], float], to_engine: Callable[[str], None]
    ) -> None:
        self.session_id = session_id
        self.audience = Audience(session_id)
        self.viewers = self.audience.viewers
        self.broadcast = self.audience.broadcast
        self.view: TurnView | None = None
        self.files: AnswerPlayer | None = None
        self.tell_file_stop: Callable[[Stop], None] = lambda _: None
        self.tell_heard_of_file: Callable[[Stop], None] = lambda _: None
        self.clock, self.to_engine = clock, to_engine
        self.epoch = 0
        self.rest = Rest(self._idle, lambda: self.view is None or self.view.phase is Phase.IDLE)
        self.silence, self.pause, self.behind = Silence(self), Pause(self), TurnsBehind(self)
        self._ears: Ears[Viewer] = Ears()
        self._played_at = 0.0
        self.lines: dict[str, str] = {}
        """What log lines of the present turn carry."""

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; in the middle of a turn it starts at the live position."""
        self.audience.add(viewer, self.view, self.clock(), resting=self.rest.phase)
        if self.files is not None:
            self.files.joined(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.audience.remove(viewer)
        self._ears.forget(viewer)

    def take(self, frame: Start | SpeechChunk | TextDelta | End | StopAck | Hold, raw: str) -> None:
        """A frame from an engine; `raw` is its JSON."""
        if self.behind.takes(frame, raw):
            return
        if self.view is not None and self.view.lost and frame.turn == self.view.turn:
            self.engine_back()
        if isinstance(frame, SpeechChunk):
            self.speak(frame, raw)
        elif isinstance(frame, Start):
            self._start(frame)
        elif self.view is None or frame.turn != self.view.turn or self.view.from_file:
            log.debug("stale_frame", **self.lines)
        elif isinstance(frame, Hold):
            # From another output-handler, by way of the engine, which knows it.
            self.pause.take(self.view, frame.action)
        elif isinstance(frame, TextDelta):
            self.caption(frame, raw)
        elif isinstance(frame, End):
            self._end(frame, raw)
        else:
            self.silence.acknowledged(self.view, frame, raw)

    def played(self, viewer: Viewer, frame: Played) -> None:
        """A viewer's position. The engine is told where the session's ear is, at most every 150 ms."""
        now, view = self.clock(), self.view
        if view is None or frame.turn != view.turn:
            return
        at, speaker = frame.offset_ms, bool(frame.speaker)
        if not self._ears.note(
            viewer, at, now, clock_ms=view.ear_ms(now), sent_ms=view.sent_ms, speaker=speaker
        ):
            metrics.REFUSED.labels(code="position_from_the_future").inc()
            return
        heard = self._ears.position(now)
        if heard is not None and not view.from_file and now - self._played_at >= PLAYED_EVERY_MS:
            self._played_at = now
            self.to_engine(
                Played(
                    session_id=self.session_id,
                    turn=view.turn,
                    offset_ms=round(heard),
                    speaker=self._ears.speaker_reports(now) or None,
                    viewers=self._ears.count(now),
                ).to_json()
            )

    def engine_lost(self, *, for_good: bool = True) -> None:
        """Nothing is heard of the engine of the present turn: viewers are told, and what was sent still sounds."""
        view = self.view
        if for_good:
            self.behind.engine_lost()
        if view is None or view.ended or view.stopped or view.from_file:
            return
        view.ended = for_good
        if not view.lost:
            view.lost = True
            self.audience.error(
                ViewerError(
                    code="engine_lost", message="the connection to the engine broke in mid-turn"
                )
            )
        self.idle_when_heard(view)

    def engine_back(self) -> None:
        """It only stood still for a moment; the present turn goes on."""
        view = self.view
        if view is None or not view.lost or view.ended or view.stopped:
            return
        view.lost = False
        self.rest.cancel()
        if view.zero_ms is None and view.phase is Phase.IDLE:
            view.phase = Phase.THINKING
            self.audience.phase(Phase.THINKING, view.turn, self.clock())
        log.info("engine_back", **self.lines)

    def spoken_to(self, microphone: str, *, speaking: bool) -> None:
        """Somebody speaks into a microphone, or has finished: her viewers see that she listens, unless a turn is on."""
        self.rest.spoken_to(microphone, speaking=speaking)

    def close(self) -> None:
        """Nothing follows."""
        self.rest.close()
        self.pause.forget()

    def stale(self, start: Start) -> bool:
        """Whether a START comes from an owner of before, or is of a turn of before."""
        if start.epoch != self.epoch or self.view is None:
            return start.epoch < self.epoch
        return start.turn < self.view.turn

    def open(self, frame: Start) -> TurnView:
        """A turn begins, from an engine or from a file."""
        now = self.clock()
        self.rest.cancel()
        self.pause.forget()
        view = self.view = TurnView.of(frame, now)
        self.lines = {"correlationId": correlation_id(self.session_id, frame.turn)}
        trace_id = trace_context.trace_id(frame.traceparent)
        if trace_id is not None:
            self.lines["trace_id"] = trace_id
        self._ears = Ears()
        self.audience.new_turn()
        self.broadcast(view.start_json)
        self.audience.phase(Phase.THINKING, frame.turn, now)
        log.info("turn_started", viewers=len(self.viewers), **self.lines)
        return view

    def speak(self, frame: SpeechChunk, raw: str) -> None:
        """A chunk of the present turn; any other is dropped."""
        view = self.view
        if view is None or frame.turn != view.turn or view.stopped:
            return
        missing = view.gap(frame.seq)
        if missing < 0:
            return
        if missing > 0:
            metrics.CHUNK_GAPS.inc(missing)
            log.warning("chunk_gap", missing=missing, seq=frame.seq, **self.lines)
            self.broadcast(
                ViewerError(
                    code="chunk_gap", message=f"{missing} chunks of turn {view.turn} are missing"
                ).to_json()
            )
        now = self.clock()
        moved = view.schedule(frame.offset_ms, frame.duration_ms, now)
        if moved:
            self.audience.phase(Phase.SPEAKING, view.turn, view.zero_ms or now)
        packed = binary.pack(frame) if any(viewer.binary for viewer in self.viewers) else None
        sound = Sound(frame.seq, frame.offset_ms, frame.duration_ms, raw, packed)
        self.audience.sound(sound)
        view.keep(sound, now)
        if moved and frame.seq > 0:
            log.info("clock_moved", offset_ms=frame.offset_ms, **self.lines)
        elif moved:
            log.info("speech_started", after_ms=round(now - view.started_at, 1), **self.lines)

    def caption(self, frame: TextDelta, raw: str) -> None:
        """A piece of the present turn's reply."""
        view = self.view
        assert view is not None
        if view.stopped:
            return
        # After a reconnect the text so far comes again from its beginning.
        view.text = view.text[: frame.text_start] + frame.content
        view.text_ended = frame.eos
        self.broadcast(raw)

    def finish(self, view: TurnView, frame: End, raw: str | None = None) -> None:
        """All of the present turn was sent; `raw` is the JSON of its END. It is IDLE once it was heard."""
        view.ended, view.awaits_voice = True, False
        self.broadcast(raw or frame.to_json())
        self.reply(view)
        log.info("turn_sent", audio_ms=frame.audio_ms, **self.lines)
        self.idle_when_heard(view)

    def idle_when_heard(self, view: TurnView) -> None:
        """Nothing more is to come of the present turn."""
        if view.paused_at is not None:
            return
        self.rest.after(
            max(0.0, view.sent_ms - view.ear_ms(self.clock())) / 1000
            if view.zero_ms is not None
            else 0
        )

    def _start(self, frame: Start) -> None:
        view = self.view
        if self.stale(frame):
            log.warning("stale_start", turn=frame.turn, epoch=frame.epoch, **self.lines)
            return
        if view is not None and frame.turn == view.turn and view.interrupted:
            # It fell back, or moved, while it was being stopped: it stays silent here, whoever speaks it.
            self.epoch = frame.epoch
            log.warning("stopped_turn_begun_again", path=frame.path, **self.lines)
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
        if view is not None and view.awaits_voice:
            self.finish(view, End(session_id=self.session_id, turn=view.turn, audio_ms=0))
        elif view is not None and view.from_file and view.sounding(self.clock()):
            self.silence.cut_file(view, "new_turn", known=False)
        self.epoch = frame.epoch
        self.open(frame)

    def _end(self, frame: End, raw: str) -> None:
        view = self.view
        assert view is not None
        if view.stopped:
            view.ended = True
        elif frame.voice_follows and self.files is not None:
            view.from_file = view.awaits_voice = True
            self.files.voice_awaited(view)
        else:
            self.finish(view, frame, raw)

    def reply(self, view: TurnView) -> None:
        """The older dialect gets its answer, once."""
        if not view.replied:
            view.replied = True
            self.audience.reply(view.text)

    def _idle(self) -> None:
        if self.view is not None:
            self.view.phase = Phase.IDLE
            self.view.recent.clear()
        self.audience.phase(
            self.rest.phase, self.view.turn if self.view is not None else 0, self.clock()
        )
        self.behind.go_on()

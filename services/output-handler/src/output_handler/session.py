"""One session: its present turn, its viewers, its phase. Frames come in from engines and go out to viewers; STOP goes the other way."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from dialog_contracts import binary
from dialog_contracts.ingest import End, Played, SpeechChunk, Start, Stop, StopAck, TextDelta
from dialog_contracts.model import correlation_id
from dialog_contracts.viewer import Phase, State, ViewerError
from dialog_telemetry import metrics, trace_context
from output_handler.errors import BargeInOff
from output_handler.turn_view import Sound, TurnView
from output_handler.viewer import LegacyViewer, Viewer

log = structlog.get_logger("session")

PLAYED_EVERY_MS: Final = 150
INTERRUPTED_FOR_S: Final = 0.8


class Session:
    """`to_engine` sends a frame (JSON) to the engine that owns the present turn; `clock` gives ms."""

    def __init__(self, session_id: str, clock: Callable[[], float], to_engine: Callable[[str], None]) -> None:
        self.session_id = session_id
        self.viewers: set[Viewer] = set()
        self.view: TurnView | None = None
        self._clock, self._to_engine = clock, to_engine
        self._epoch = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._played_at = 0.0
        self._lines: dict[str, str] = {}

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; in the middle of a turn it starts at the live position."""
        self.viewers.add(viewer)
        metrics.VIEWERS.labels(dialect=viewer.dialect).inc()
        now = self._clock()
        view = self.view
        if view is None or view.phase is Phase.IDLE:
            viewer.offer(self._state(Phase.IDLE, view.turn if view else 0, now))
            return
        viewer.offer(view.start_json)
        viewer.offer(self._state(view.phase, view.turn, view.started_at if view.zero_ms is None else view.zero_ms))
        if view.text or view.text_ended:
            text = TextDelta(session_id=self.session_id, turn=view.turn, content=view.text, eos=view.text_ended)
            viewer.offer(text.to_json())
        if not view.stopped:
            for sound in view.upcoming(now):
                viewer.offer_sound(sound)

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self.viewers.discard(viewer)
        metrics.VIEWERS.labels(dialect=viewer.dialect).dec()

    def take(self, frame: Start | SpeechChunk | TextDelta | End | StopAck, raw: str) -> None:
        """A frame from an engine; `raw` is its JSON."""
        if isinstance(frame, SpeechChunk):
            self._chunk(frame, raw)
        elif isinstance(frame, Start):
            self._start(frame)
        elif self.view is None or frame.turn != self.view.turn:
            log.debug("stale_frame", **self._lines)
        elif isinstance(frame, TextDelta):
            self._text(frame, raw)
        elif isinstance(frame, End):
            self._end(frame, raw)
        else:
            self._stop_ack(frame, raw)

    def stop(self, turn: int | None, reason: str) -> bool:
        """Silence the present turn at once; false when nothing sounds. Raises BargeInOff."""
        view, now = self.view, self._clock()
        if view is None or not view.sounding(now) or (turn is not None and turn != view.turn):
            metrics.STOPS.labels(outcome="nothing_sounding").inc()
            return False
        if not view.flags.SYNC_TTS_BARGE_IN:
            metrics.STOPS.labels(outcome="refused").inc()
            raise BargeInOff("this turn was started without SYNC_TTS_BARGE_IN and cannot be stopped")
        view.stopped, view.stop_asked_at = True, now
        stop = Stop(session_id=self.session_id, turn=view.turn, reason=reason).to_json()
        self._to_engine(stop)
        self._flush_viewers(view, stop)
        metrics.STOPS.labels(outcome="stopped").inc()
        log.info("stopped", reason=reason, **self._lines)
        return True

    def played(self, frame: Played) -> None:
        """A viewer's position: passed on, at most one every 150 ms for the session."""
        now = self._clock()
        if self.view is not None and frame.turn == self.view.turn and now - self._played_at >= PLAYED_EVERY_MS:
            self._played_at = now
            self._to_engine(frame.to_json())

    def engine_lost(self) -> None:
        """The engine of the present turn is gone: what was sent still sounds, then the viewers are told."""
        view = self.view
        if view is None or view.ended or view.stopped:
            return
        view.ended = True
        error = ViewerError(code="engine_lost", message="the connection to the engine broke in the middle of a turn")
        self.broadcast(error.to_json())
        for viewer in self.viewers:
            if isinstance(viewer, LegacyViewer):
                viewer.error(error.message)
        self._idle_after((view.sent_ms - view.ear_ms(self._clock())) / 1000 if view.zero_ms is not None else 0)

    def close(self) -> None:
        """Nothing follows."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def broadcast(self, data: str) -> None:
        """A frame for every viewer of the newer dialects."""
        for viewer in self.viewers:
            viewer.offer(data)

    def stale(self, start: Start) -> bool:
        """Whether a START comes from an owner of before, or is of a turn of before."""
        if start.epoch != self._epoch or self.view is None:
            return start.epoch < self._epoch
        return start.turn < self.view.turn

    def _start(self, frame: Start) -> None:
        if self.stale(frame):
            log.warning("stale_start", turn=frame.turn, epoch=frame.epoch, **self._lines)
            return
        if self.view is not None and frame.turn == self.view.turn and frame.epoch == self._epoch:
            # The engine tells a running turn again after a reconnect; viewers know it already.
            self.view.ended = False
            return
        self._epoch = frame.epoch
        now = self._clock()
        self._cancel_idle()
        start = frame.model_copy(update={"started_at": now})
        self.view = TurnView(turn=frame.turn, flags=frame.flags, started_at=now, start_json=start.to_json())
        if frame.ear_ms is not None:
            self.view.zero_ms = now - frame.ear_ms
        self._lines = {"correlationId": correlation_id(self.session_id, frame.turn)}
        trace_id = trace_context.trace_id(frame.traceparent)
        if trace_id is not None:
            self._lines["trace_id"] = trace_id
        for viewer in self.viewers:
            viewer.new_turn()
        self.broadcast(self.view.start_json)
        self.broadcast(self._state(Phase.THINKING, frame.turn, now))
        log.info("turn_started", viewers=len(self.viewers), **self._lines)

    def _chunk(self, frame: SpeechChunk, raw: str) -> None:
        view = self.view
        if view is None or frame.turn != view.turn or view.stopped:
            return
        missing = view.gap(frame.seq)
        if missing < 0:
            return
        if missing > 0:
            metrics.CHUNK_GAPS.inc(missing)
            log.warning("chunk_gap", missing=missing, seq=frame.seq, **self._lines)
            self.broadcast(ViewerError(code="chunk_gap", message=f"{missing} chunks of turn {view.turn} are missing").to_json())
        now = self._clock()
        moved = view.schedule(frame.offset_ms, frame.duration_ms, now)
        if moved:
            self.broadcast(self._state(Phase.SPEAKING, view.turn, view.zero_ms or now))
        packed = binary.pack(frame) if any(viewer.binary for viewer in self.viewers) else None
        sound = Sound(frame.seq, frame.offset_ms, frame.duration_ms, raw, packed)
        for viewer in self.viewers:
            viewer.offer_sound(sound)
        view.keep(sound, now)
        if moved and frame.seq > 0:
            log.info("clock_moved", offset_ms=frame.offset_ms, **self._lines)
        elif moved:
            log.info("speech_started", after_ms=round(now - view.started_at, 1), **self._lines)

    def _text(self, frame: TextDelta, raw: str) -> None:
        view = self.view
        assert view is not None
        if view.stopped:
            return
        # After a reconnect the text so far comes again from its beginning.
        view.text = view.text[: frame.text_start] + frame.content
        view.text_ended = frame.eos
        self.broadcast(raw)

    def _end(self, frame: End, raw: str) -> None:
        view = self.view
        assert view is not None
        view.ended = True
        if view.stopped:
            return
        self.broadcast(raw)
        for viewer in self.viewers:
            if isinstance(viewer, LegacyViewer):
                viewer.reply(view.text)
        log.info("turn_sent", audio_ms=frame.audio_ms, **self._lines)
        self._idle_after(max(0.0, view.sent_ms - view.ear_ms(self._clock())) / 1000 if view.zero_ms is not None else 0)

    def _stop_ack(self, frame: StopAck, raw: str) -> None:
        view, now = self.view, self._clock()
        assert view is not None
        replied = view.ended
        silent = view.zero_ms is None and not view.text
        if view.stop_asked_at is not None:
            metrics.STOP_SECONDS.observe((now - view.stop_asked_at) / 1000)
        elif not view.stopped and not silent:
            # The engine stopped by itself, for a new turn or at its end: viewers still hold sound of this one.
            stop = Stop(session_id=self.session_id, turn=view.turn, reason="engine").to_json()
            self._flush_viewers(view, stop)
        view.stopped = view.ended = True
        if frame.heard_text is not None:
            view.text = frame.heard_text
        self.broadcast(raw)
        for viewer in self.viewers:
            if isinstance(viewer, LegacyViewer) and not replied:
                viewer.reply(view.text)
        self._idle_after(0 if silent else INTERRUPTED_FOR_S)

    def _flush_viewers(self, view: TurnView, stop: str) -> None:
        view.stopped, view.phase = True, Phase.INTERRUPTED
        view.recent.clear()
        state = self._state(Phase.INTERRUPTED, view.turn, self._clock())
        for viewer in self.viewers:
            viewer.flush()
            viewer.offer(stop)
            viewer.offer(state)
        # The engine confirms within milliseconds; should it be gone, the session must not stay interrupted for ever.
        self._idle_after(INTERRUPTED_FOR_S)

    def _idle_after(self, seconds: float) -> None:
        self._cancel_idle()
        self._idle_timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._idle)

    def _cancel_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _idle(self) -> None:
        self._idle_timer = None
        if self.view is not None:
            self.view.phase = Phase.IDLE
            self.view.recent.clear()
            self.broadcast(self._state(Phase.IDLE, self.view.turn, self._clock()))

    def _state(self, phase: Phase, turn: int, at: float) -> str:
        return State(session_id=self.session_id, turn=turn, phase=phase, started_at=round(at, 3)).to_json()

"""STOP in one session: whoever asks for it, or makes it necessary, its viewers fall silent at once and are told how it ended."""

from typing import TYPE_CHECKING, Final

import structlog

from dialog_contracts.ingest import Stop, StopAck
from dialog_contracts.viewer import Phase
from dialog_telemetry import metrics
from output_handler.errors import BARGE_IN_OFF, BargeInOff
from output_handler.playback.turn import PlaybackTurn

if TYPE_CHECKING:
    from output_handler.playback.session import PlaybackSession

log = structlog.get_logger("session")

INTERRUPTED_PHASE_S: Final = 0.8


class StopController:
    """For the present turn of a session."""

    def __init__(self, session: "PlaybackSession") -> None:
        self._session = session

    def stop(self, turn: int | None, reason: str) -> bool:
        """Silence the present turn at once; false when nothing sounds. Raises BargeInOff."""
        session = self._session
        view, now = session.turn, session.clock()
        if view is None or not view.playing(now) or (turn is not None and turn != view.turn):
            metrics.STOPS.labels(outcome="nothing_sounding").inc()
            return False
        if not view.flags.SYNC_TTS_BARGE_IN:
            metrics.STOPS.labels(outcome="refused").inc()
            raise BargeInOff(BARGE_IN_OFF)
        metrics.STOPS.labels(outcome="stopped").inc()
        log.info("stopped", reason=reason, **session.log_fields)
        if view.from_file:
            self.stop_file(view, reason, known=False)
            session.publish_stop(self._stop_message(view, reason))
            return True
        view.stopped, view.stop_asked_at, view.interrupted = True, now, True
        stop = self._stop_message(view, reason).to_json()
        session.to_engine(stop)
        self._flush_viewers(view, stop)
        return True

    def file_stopped(self, stop: Stop) -> None:
        """Another output-handler has stopped its copy of this reply, or was asked to."""
        view = self._session.turn
        if view is None or not view.from_file or not view.playing(self._session.clock()):
            return
        if view.flags.SYNC_TTS_BARGE_IN and stop.turn in (None, view.turn):
            self.stop_file(view, stop.reason or "elsewhere", known=True)

    def stop_file(self, view: PlaybackTurn, reason: str, *, known: bool) -> None:
        """The legacy chain knows no STOP: what of its file was heard is known here alone, unless another output-handler has told it."""
        played = view.played_text(self._session.clock())
        ack = StopAck(session_id=self._session.session_id, turn=view.turn, heard_text=played)
        self._flush_viewers(view, self._stop_message(view, reason).to_json())
        self._complete(view, ack, ack.to_json())
        if not known:
            self._session.report_played_text(
                self._stop_message(view, reason).model_copy(update={"heard_text": played})
            )

    def on_session_moved(self) -> None:
        """Another engine has the session from now on; the turn of the one before it, if it sounds, is cut off."""
        session = self._session
        view = session.turn
        if view is not None and not view.from_file and view.playing(session.clock()):
            stop = self._stop_message(view, "moved").to_json()
            session.to_engine(stop)
            self._flush_viewers(view, stop)
            ack = StopAck(session_id=session.session_id, turn=view.turn)
            self._complete(view, ack, ack.to_json())

    def on_stop_ack(self, view: PlaybackTurn, frame: StopAck, raw: str) -> None:
        """The engine has stopped, because it was asked to or by itself."""
        session = self._session
        silent = view.audio_started_at_ms is None and not view.text
        if view.stop_asked_at is not None:
            metrics.STOP_SECONDS.observe((session.clock() - view.stop_asked_at) / 1000)
        elif not view.stopped and not silent:
            # The engine stopped by itself, for a new turn or at its end: viewers still hold sound of this one.
            self._flush_viewers(view, self._stop_message(view, "engine").to_json())
        self._complete(view, frame, raw)
        session.idle.schedule(0 if silent else INTERRUPTED_PHASE_S)

    def _stop_message(self, view: PlaybackTurn, reason: str) -> Stop:
        return Stop(session_id=self._session.session_id, turn=view.turn, reason=reason)

    def _flush_viewers(self, view: PlaybackTurn, stop: str) -> None:
        session = self._session
        view.stopped, view.phase = True, Phase.INTERRUPTED
        view.recent.clear()
        session.viewer_group.flush(stop, view.turn, session.clock())
        # The engine confirms within milliseconds; should it be gone, the session must not stay interrupted for ever.
        session.idle.schedule(INTERRUPTED_PHASE_S)

    def _complete(self, view: PlaybackTurn, frame: StopAck, raw: str) -> None:
        # A turn that broke off before a word has no answer yet: the legacy chain may give one.
        view.replied = (
            view.replied
            or view.ended
            or (view.stop_asked_at is None and not view.text and not view.from_file)
        )
        view.stopped, view.ended, view.awaiting_file = True, True, False
        if frame.heard_text is not None:
            view.text, view.interrupted = frame.heard_text, True
        self._session.broadcast(raw)
        self._session.send_reply(view)

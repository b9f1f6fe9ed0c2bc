"""PAUSE and RESUME in one session: the present turn stands still where it is heard, for a few seconds at most."""

from typing import TYPE_CHECKING, Final, Literal

import structlog

from dialog_contracts.ingest import PlaybackControl
from dialog_telemetry import metrics
from output_handler.errors import BARGE_IN_OFF, BargeInOff
from output_handler.playback.timer import ResettableTimer
from output_handler.playback.turn import PlaybackTurn

if TYPE_CHECKING:
    from output_handler.playback.session import PlaybackSession

log = structlog.get_logger("session")

MAX_PAUSE_S: Final = 5.0


class PauseController:
    """For the present turn of a session."""

    def __init__(self, session: "PlaybackSession") -> None:
        self._session = session
        self._timeout = ResettableTimer(self._auto_resume)

    def request(self, action: Literal["PAUSE", "RESUME"], turn: int | None) -> bool:
        """Pause the present turn where it is heard, or let it go on; false when there was nothing to do. Raises BargeInOff."""
        session = self._session
        view = session.turn
        if (
            view is None
            or not view.playing(session.clock())
            or (turn is not None and turn != view.turn)
        ):
            return False
        if not view.flags.SYNC_TTS_BARGE_IN:
            raise BargeInOff(BARGE_IN_OFF)
        if view.from_file or not self.apply(view, action):
            return False
        session.to_engine(self._message(view, action))
        return True

    def apply(self, view: PlaybackTurn, action: Literal["PAUSE", "RESUME"]) -> bool:
        """It was asked for, here or at another output-handler; false when it is so already."""
        session = self._session
        if (view.paused_at is not None) is (action == "PAUSE") or view.stopped:
            return False
        now = session.clock()
        metrics.PLAYBACK_PAUSES.labels(action=action).inc()
        log.info("paused" if action == "PAUSE" else "resumed", **session.log_fields)
        if action == "PAUSE":
            session.idle.cancel()
            view.pause(now)
            self._timeout.schedule(MAX_PAUSE_S)
        else:
            self._timeout.cancel()
            view.resume(now)
        session.broadcast(self._message(view, action))
        if action == "RESUME":
            if view.audio_started_at_ms is not None:
                session.viewer_group.send_phase(view.phase, view.turn, view.audio_started_at_ms)
            if view.ended:
                session.idle_when_played(view)
        return True

    def reset(self) -> None:
        """Another turn begins, or nothing follows."""
        self._timeout.cancel()

    def _message(self, view: PlaybackTurn, action: Literal["PAUSE", "RESUME"]) -> str:
        return PlaybackControl(
            action=action, session_id=self._session.session_id, turn=view.turn
        ).to_json()

    def _auto_resume(self) -> None:
        """Whoever paused it is gone, or cannot make up its mind."""
        log.warning("pause_timed_out", **self._session.log_fields)
        self.request("RESUME", None)

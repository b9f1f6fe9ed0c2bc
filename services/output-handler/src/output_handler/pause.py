"""PAUSE and RESUME in one session: the present turn stands still where it is heard, for a few seconds at most."""

from typing import TYPE_CHECKING, Final, Literal

import structlog

from dialog_contracts.ingest import Hold
from dialog_telemetry import metrics
from output_handler.errors import BARGE_IN_OFF, BargeInOff
from output_handler.idle_timer import IdleTimer
from output_handler.turn_view import TurnView

if TYPE_CHECKING:
    from output_handler.session import Session

log = structlog.get_logger("session")

PAUSED_MAX_S: Final = 5.0


class Pause:
    """For the present turn of a session."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._patience = IdleTimer(self._resume_anyway)

    def ask(self, action: Literal["PAUSE", "RESUME"], turn: int | None) -> bool:
        """Pause the present turn where it is heard, or let it go on; false when there was nothing to do. Raises BargeInOff."""
        session = self._session
        view = session.view
        if (
            view is None
            or not view.sounding(session.clock())
            or (turn is not None and turn != view.turn)
        ):
            return False
        if not view.flags.SYNC_TTS_BARGE_IN:
            raise BargeInOff(BARGE_IN_OFF)
        if view.from_file or not self.take(view, action):
            return False
        session.to_engine(self._frame(view, action))
        return True

    def take(self, view: TurnView, action: Literal["PAUSE", "RESUME"]) -> bool:
        """It was asked for, here or at another output-handler; false when it is so already."""
        session = self._session
        if (view.paused_at is not None) is (action == "PAUSE") or view.stopped:
            return False
        now = session.clock()
        metrics.HOLDS.labels(action=action).inc()
        log.info("paused" if action == "PAUSE" else "resumed", **session.lines)
        if action == "PAUSE":
            session.rest.cancel()
            view.pause(now)
            self._patience.after(PAUSED_MAX_S)
        else:
            self._patience.cancel()
            view.resume(now)
        session.broadcast(self._frame(view, action))
        if action == "RESUME":
            if view.zero_ms is not None:
                session.audience.phase(view.phase, view.turn, view.zero_ms)
            if view.ended:
                session.idle_when_heard(view)
        return True

    def forget(self) -> None:
        """Another turn begins, or nothing follows."""
        self._patience.cancel()

    def _frame(self, view: TurnView, action: Literal["PAUSE", "RESUME"]) -> str:
        return Hold(action=action, session_id=self._session.session_id, turn=view.turn).to_json()

    def _resume_anyway(self) -> None:
        """Whoever paused it is gone, or cannot make up its mind."""
        log.warning("paused_too_long", **self._session.lines)
        self.ask("RESUME", None)

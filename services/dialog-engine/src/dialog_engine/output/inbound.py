"""Messages from output-handlers to running turns: STOP, PAUSE, RESUME, positions, new viewers.

A STOP or PAUSE with a query id (`ask`) gets an answer. Output-handlers send it to every engine and
use the most definite answer; `unknown` means that this engine has not loaded the session.
"""

from collections.abc import Callable

import structlog

from dialog_contracts.ingest import PlaybackControl, Played, Stop, StopOutcome, StopResult
from dialog_contracts.model import correlation_id
from dialog_engine.errors import TurnInProgress
from dialog_engine.output.connection import OutputConnection, OutputEventHandlers
from dialog_engine.sessions.registry import SessionRegistry
from dialog_telemetry import metrics

log = structlog.get_logger("output_events")


class OutputEvents:
    """Handles the messages of all output-handlers, and stops turns for other components.

    `publish(session_id, message)` sends to every output-handler with viewers of the session.
    `cut(session_id, turn, played_text)` truncates a stored reply.
    """

    def __init__(
        self,
        sessions: SessionRegistry,
        publish: Callable[[str, str], None],
        cut: Callable[[str, int, str], None],
    ) -> None:
        self._sessions, self._publish, self._truncate = sessions, publish, cut
        self.handlers = OutputEventHandlers(
            self._on_stop, self._on_pause, self._on_played, self._on_subscribe
        )

    def stop(self, session_id: str, turn: int | None, reason: str) -> int | None:
        """Interrupt the session's running turn, or only the given one.

        Returns the number of the stopped turn, or None if no such turn was running. Raises
        TurnInProgress if the turn was started without SYNC_TTS_BARGE_IN.
        """
        session = self._sessions.find(session_id)
        runner = session.running if session is not None else None
        if runner is None or (turn is not None and turn != runner.request.turn):
            metrics.STOPS.labels(outcome="nothing_sounding").inc()
            return None
        if not runner.request.flags.SYNC_TTS_BARGE_IN:
            metrics.STOPS.labels(outcome="refused").inc()
            raise TurnInProgress(
                "this turn was started without SYNC_TTS_BARGE_IN and cannot be stopped",
                code="barge_in_off",
            )
        stopped = runner.stop(reason)
        metrics.STOPS.labels(outcome="stopped" if stopped else "nothing_sounding").inc()
        return runner.request.turn if stopped else None

    def _on_stop(self, frame: Stop, link: OutputConnection) -> None:
        if frame.heard_text is not None and frame.turn is not None:
            self._truncate(frame.session_id, frame.turn, frame.heard_text)
            return
        outcome: StopOutcome = (
            "nothing_sounding" if self._sessions.find(frame.session_id) is not None else "unknown"
        )
        try:
            if self.stop(frame.session_id, frame.turn, frame.reason or "viewer") is not None:
                outcome = "stopped"
        except TurnInProgress as error:
            log.info(
                "stop_refused",
                correlationId=correlation_id(frame.session_id, frame.turn or 0),
                reason=str(error),
            )
            outcome = "refused"
        if frame.ask is not None:
            link.send(
                StopResult(session_id=frame.session_id, ask=frame.ask, outcome=outcome).to_json()
            )

    def _on_pause(self, frame: PlaybackControl, link: OutputConnection) -> None:
        session = self._sessions.find(frame.session_id)
        runner = session.running if session is not None else None
        outcome: StopOutcome = "nothing_sounding" if session is not None else "unknown"
        turn = runner.request.turn if runner is not None else None
        if runner is not None and frame.turn in (None, runner.request.turn):
            if not runner.request.flags.SYNC_TTS_BARGE_IN:
                outcome = "refused"
            elif runner.set_paused(frame.action):
                outcome = "stopped"
                # For the other output-handlers with viewers of the session; the sender has paused
                # already.
                forwarded = frame.model_copy(update={"turn": runner.request.turn, "ask": None})
                self._publish(frame.session_id, forwarded.to_json())
        if frame.ask is not None:
            link.send(
                StopResult(
                    session_id=frame.session_id, ask=frame.ask, outcome=outcome, turn=turn
                ).to_json()
            )

    def _on_played(self, frame: Played, link: OutputConnection) -> None:
        session = self._sessions.find(frame.session_id)
        if (
            session is not None
            and session.running is not None
            and session.running.request.turn == frame.turn
        ):
            session.running.report_position(frame, link)

    def _on_subscribe(self, session_id: str, link: OutputConnection) -> None:
        """Send START and the text so far to an output-handler whose first viewer joins mid-turn.

        Chunks follow from the present position.
        """
        session = self._sessions.find(session_id)
        runner = session.running if session is not None else None
        if runner is not None and not runner.machine.over:
            link.send(runner.start_message())
            if runner.machine.reply:
                link.send(runner.text_message())

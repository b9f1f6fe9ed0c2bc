"""Executes the actions of a turn's state machine in order, and ends the turn if one fails.

Executing an action may lead to new decisions, for example when a commit fails at once. They are
queued after the actions that are already decided: otherwise a turn could end before its `done` was
sent.

An action that raises must not leave the turn without an end. The first failure ends the turn as
usual: the text so far is stored and the caller gets an error. If that fails too, the turn ends at
once without relying on any other component.
"""

from collections import deque
from collections.abc import Callable, Sequence

import structlog

from dialog_contracts.sse import ErrorEvent
from dialog_engine.turn.actions import Action
from dialog_engine.turn.committer import FAILED
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.state_machine import INTERNAL, INTERNAL_MESSAGE, TextState, TurnStateMachine
from dialog_telemetry import metrics

log = structlog.get_logger("turn")


class ActionExecutor:
    """Executes the actions of one turn. `carry_out` executes a single one."""

    def __init__(
        self, machine: TurnStateMachine, events: EventLog, carry_out: Callable[[Action], None]
    ) -> None:
        self._machine, self._events, self._execute = machine, events, carry_out
        self._decided: deque[Action] = deque()
        self._applying = False
        self._failed = False

    def apply(self, decided: Sequence[Action]) -> None:
        """Execute the actions; one that fails ends the turn, and the others are executed anyway."""
        self._decided.extend(decided)
        if self._applying:
            return
        self._applying = True
        try:
            while self._decided:
                action = self._decided.popleft()
                try:
                    self._execute(action)
                # The remaining actions are executed although this one failed.
                except Exception as error:  # noqa: BLE001
                    self.fail_turn(type(action).__name__, error)
        finally:
            self._applying = False

    def on_task_ended(self, name: str, error: BaseException | None) -> None:
        """Handle the end of a task of the turn.

        A crash of a commit or of the claim ends the turn with an error, and so does a model task
        that ends while text is expected. Tasks of the voice are handled in `tts_streamer.py`.
        """
        if name == "model" and self._machine.text in (TextState.WAITING, TextState.STREAMING):
            self.fail_turn(name, error)
        elif name == "commit" and error is not None:
            self.apply(self._machine.commit_failed(FAILED))
        elif name == "claim" and error is not None:
            self.fail_turn(name, error)

    def fail_turn(self, where: str, error: BaseException | None) -> None:
        """Log an internal error and end the turn; the second failure ends it at once."""
        log.error("turn_crashed", where=where, error=repr(error)[:200], exc_info=error)
        metrics.TURNS_CRASHED.labels(where=where).inc()
        if self._machine.finished:
            return
        decided = self._machine.task_crashed() if self._failed else self._machine.failed_inside()
        self._failed = True
        if self._machine.finished and not self._events.closed:
            self._events.append(
                ErrorEvent(
                    code=INTERNAL, message=INTERNAL_MESSAGE, retryable=not self._machine.shape
                )
            )
        self.apply(decided)

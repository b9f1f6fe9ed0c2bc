"""Who answers for a turn: what its machine decides is carried out in order, and whatever fails in it, it ends with one verdict."""

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
    """One turn. `carry_out` does one action."""

    def __init__(
        self, machine: TurnStateMachine, events: EventLog, carry_out: Callable[[Action], None]
    ) -> None:
        self._machine, self._events, self._execute = machine, events, carry_out
        self._decided: deque[Action] = deque()
        self._applying = False
        self._failed = False

    def apply(self, decided: Sequence[Action]) -> None:
        """Carry out each of them, whatever becomes of the others: one that fails ends the turn.

        What is decided meanwhile comes after them: a turn that ends at once must not end before its `done`.
        """
        self._decided.extend(decided)
        if self._applying:
            return
        self._applying = True
        try:
            while self._decided:
                action = self._decided.popleft()
                try:
                    self._execute(action)
                # What was decided is not lost with the action before it.
                except Exception as error:  # noqa: BLE001
                    self.fail_turn(type(action).__name__, error)
        finally:
            self._applying = False

    def on_task_ended(self, name: str, error: BaseException | None) -> None:
        """A task that ends without a verdict is an error of the turn."""
        if name == "model" and self._machine.text in (TextState.WAITING, TextState.STREAMING):
            self.fail_turn(name, error)
        elif name == "commit" and error is not None:
            self.apply(self._machine.commit_failed(FAILED))
        elif name == "claim" and error is not None:
            self.fail_turn(name, error)

    def fail_turn(self, where: str, error: BaseException | None) -> None:
        """End the turn by what still works of it: at first gently, and the next time at once."""
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

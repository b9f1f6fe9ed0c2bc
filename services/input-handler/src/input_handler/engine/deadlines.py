"""The deadlines of a turn at an engine: ACCEPTED, and the first delta.

Both count from the call. ACCEPTED replaces the first deadline by the second; a `thinking` comment
of the model moves the second; the first delta ends both. Pure: times in seconds are arguments.
"""

from typing import Final

NOT_ACCEPTED: Final = "not_accepted_in_time"
NO_DELTA: Final = "no_delta_in_time"
LABELS: Final = {NOT_ACCEPTED: "accepted", NO_DELTA: "first_delta"}
"""Labels of the metric of missed deadlines."""


class TurnDeadlines:
    """`after` is the number of the last event that the caller has; -1 without one."""

    def __init__(
        self, called_at: float, after: int, *, accept_timeout_s: float, first_token_timeout_s: float
    ) -> None:
        self._first_token_timeout_s = first_token_timeout_s
        self._accepted_at = called_at
        self.reason: str | None = None
        """Reason of the failure when the present deadline passes; None without a deadline."""

        self.due_at = 0.0
        """Time of the event loop at which the present deadline passes."""

        # The first delta follows ACCEPTED, which has the number 0. A caller that has it waits for
        # neither.
        if after < 0:
            self.reason, self.due_at = NOT_ACCEPTED, called_at + accept_timeout_s
        elif after == 0:
            self.reason, self.due_at = NO_DELTA, called_at + first_token_timeout_s

    def accepted(self) -> None:
        """Note ACCEPTED: the first delta is due next."""
        if self.reason == NOT_ACCEPTED:
            self.reason = NO_DELTA
            self.due_at = self._accepted_at + self._first_token_timeout_s

    def thinking(self, now: float) -> None:
        """Note that the model thinks: the first delta is due later."""
        if self.reason == NO_DELTA:
            self.due_at = now + self._first_token_timeout_s

    def answered(self) -> None:
        """Note the first delta, or the end: nothing more is due."""
        self.reason = None

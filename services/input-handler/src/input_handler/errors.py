"""Errors of input-handler.

EngineFailed                       the engine could not answer, nothing has reached the caller yet; `reason` is a metric label
AnsweredElsewhere                  the engine found the turn claimed by the other path
EngineHasIt                        the other path found the turn claimed by an engine
ServiceError
├── EngineRefused (4xx)            the engine said no: its body is passed on as it is
├── TooManyTurns (429)             this input-handler has all the turns it takes
├── NoNumbersLeft (409)            the session has had every number that a turn may have
└── LegacyUnavailable (503)        the main path failed and the legacy chain cannot take the turn
"""

from dialog_contracts.http import ErrorBody
from dialog_contracts.sse import SseFrame
from service_runtime.http.errors import Conflict, ServiceError, TooMany, Unavailable


class EngineFailed(Exception):
    """Before the first delta: the turn may be given to the other path. `frame`: the engine's own word for it, if it had one."""

    def __init__(self, reason: str, detail: str = "", *, frame: SseFrame | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.frame = reason, frame


class ClaimedByLegacy(Exception):
    """`reply:{correlationId}` says `legacy`."""


class ClaimedByEngine(Exception):
    """`reply:{correlationId}` says `sync`: an engine that was given up has begun to answer, or broke off after it had."""


class EngineRefused(ServiceError):
    """A 4xx of the engine."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(body.message, code=body.code)
        self.status = status  # type: ignore[misc]  # the engine decides, not the class
        self.body = body


class TooManyTurns(TooMany):
    """More turns at once than the settings allow."""

    default_code = "too_many_turns"


class NoNumbersLeft(Conflict):
    """There is no next turn in this session."""

    default_code = "no_numbers_left"


class LegacyUnavailable(Unavailable):
    """No path answers."""

    default_code = "legacy_unavailable"

"""Errors of input-handler.

The first three decide between the two paths and are never seen by a client.

EngineFailed                   an engine failed before the first delta; `reason` is a metric label
ClaimedByLegacy                the engine found that the legacy pipeline answers the turn
ClaimedByEngine                the legacy pipeline found that an engine answers the turn
ServiceError
├── EngineRefused (4xx)        the engine refused the turn; its body is passed on unchanged
├── TooManyTurns (429)         this process, client or session has all the turns it may have
├── NoNumbersLeft (409)        the session has used every turn number
└── LegacyUnavailable (503)    the main path failed and the legacy pipeline cannot take the turn
"""

from dialog_contracts.http import ErrorBody
from dialog_contracts.sse import SseFrame
from service_runtime.http.errors import Conflict, ServiceError, TooMany, Unavailable


class EngineFailed(Exception):
    """An engine failed before the first delta, so the legacy pipeline may take the turn.

    `frame` is the error event of the engine, if it sent one.
    """

    def __init__(self, reason: str, detail: str = "", *, frame: SseFrame | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.frame = reason, frame


class ClaimedByLegacy(Exception):
    """`reply:{correlationId}` says `legacy`."""


class ClaimedByEngine(Exception):
    """`reply:{correlationId}` says `sync`.

    An engine has begun to answer, and may have broken off.
    """


class EngineRefused(ServiceError):
    """A 4xx response of the engine."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(body.message, code=body.code)
        self.status = status  # type: ignore[misc]  # the engine decides, not the class
        self.body = body


class TooManyTurns(TooMany):
    """More concurrent turns than the settings allow."""

    default_code = "too_many_turns"


class NoNumbersLeft(Conflict):
    """The session has no free turn number."""

    default_code = "no_numbers_left"


class LegacyUnavailable(Unavailable):
    """Neither path answers."""

    default_code = "legacy_unavailable"

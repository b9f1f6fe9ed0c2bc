"""Errors that a caller sees.

Every service answers with the same body: code, message, and the field or limit concerned.

    ServiceError                      status, code, retryable
    ├── InvalidField                  422  names the field
    ├── TooLarge                      413  names the limit
    ├── TooMany                       429  says when to retry
    ├── NotFound                      404
    ├── Conflict                      409
    ├── Misdirected                   421  another process has it; `owner` says which
    ├── Refused                       403
    └── Unavailable                   503  retryable
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dialog_contracts import limits
from dialog_contracts.http import ErrorBody
from dialog_telemetry import metrics

log = structlog.get_logger("errors")

CALLER_LEFT: Final = 499
"""Status of a request whose caller has disconnected; only logs and metrics see it."""


class ServiceError(Exception):
    """Base class. `code` is stable and for programs; the message is one sentence for people."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        limit: int | None = None,
        next_turn: int | None = None,
        owner: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.body = ErrorBody(
            code=code or self.default_code,
            message=message,
            retryable=self.retryable,
            field=field,
            limit=limit,
            next_turn=next_turn,
            owner=owner,
        )


class InvalidField(ServiceError):
    """422: the payload is invalid; `field` says where."""

    status, default_code = 422, "invalid"


class TooLarge(ServiceError):
    """413: more bytes or characters than `limit`."""

    status, default_code = 413, "too_large"


class TooMany(ServiceError):
    """429: over a rate or a limit of concurrency."""

    status, default_code, retryable = 429, "too_many", True


class NotFound(ServiceError):
    """404: the resource does not exist."""

    status, default_code = 404, "not_found"


class Conflict(ServiceError):
    """409: the request is valid, but not in the present state."""

    status, default_code = 409, "conflict"


class Misdirected(ServiceError):
    """421: another engine has the session; `owner` is its ordinal."""

    status, default_code, retryable = 421, "not_owner", True


class Refused(ServiceError):
    """403: this caller is not allowed."""

    status, default_code = 403, "refused"


class Unavailable(ServiceError):
    """503: a component that is needed does not answer now."""

    status, default_code, retryable = 503, "unavailable", True


async def caller_left(_: Request, error: Exception) -> Response:
    """Count a request whose caller has disconnected; there is no error on our side."""
    assert isinstance(error, ClientDisconnect)
    metrics.REQUESTS_REJECTED.labels(code="caller_left").inc()
    return Response(status_code=CALLER_LEFT)


def field_error(error: ValidationError) -> InvalidField:
    """Return the first problem of a validation as one sentence with the field's wire path."""
    return first_problem(error.errors()[0])


def first_problem(first: Mapping[str, Any]) -> InvalidField:
    """Return a problem of pydantic (`loc`, `msg`, `ctx`) as one sentence."""
    path = ".".join(str(part) for part in first["loc"])
    limit = (first.get("ctx") or {}).get("max_length")
    message = first["msg"].removeprefix("Value error, ")
    return InvalidField(
        f"{path or 'body'}: {message}",
        field=path or None,
        limit=limit if isinstance(limit, int) else None,
    )


def out_of_reach(turn: int, last: int) -> Conflict:
    """Return the error for a chosen turn number that is too far from the session's last turn."""
    reach = limits.MAX_TURN_AHEAD
    return Conflict(
        f"turn: {turn} is out of reach; the session's next turn is {last + 1}, and a chosen number may be {reach} beyond its last at most",
        code="out_of_reach",
        field="turn",
        limit=last + reach,
        next_turn=last + 1,
    )


def respond(error: ServiceError) -> JSONResponse:
    """Return the HTTP response of an error, and count it."""
    metrics.REQUESTS_REJECTED.labels(code=error.body.code).inc()
    headers = (
        {"Retry-After": str(max(1, round(error.retry_after_s)))}
        if error.retry_after_s is not None
        else None
    )
    return JSONResponse(error.body.to_wire(), status_code=error.status, headers=headers)


async def _service_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return respond(error)


async def http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an error of the framework, for example 404 or 405, with ErrorBody."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    body = ErrorBody(code=code, message=str(error.detail))
    return JSONResponse(body.to_wire(), status_code=error.status_code, headers=error.headers)


async def _internal(request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", path=request.url.path, error=repr(error)[:200], exc_info=error)
    body = ErrorBody(code="internal", message="an error on our side; it was logged")
    return JSONResponse(body.to_wire(), status_code=500)


HANDLERS: Final[dict[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    ServiceError: _service_error,
    ClientDisconnect: caller_left,
    HTTPException: http_error,
    Exception: _internal,
}
"""Exception handlers with which an application answers every error with ErrorBody."""

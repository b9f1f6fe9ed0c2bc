"""The FastAPI application of a service that has an HTTP API.

Messages are declared in dialog-contracts; a request that does not fit one is answered with the same
`ErrorBody` as every other error, which names the field and the limit. Workers without an API use
`application.create`, which needs no FastAPI and 15 MB less memory.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dialog_contracts import limits
from service_runtime.application import Lifespan, lifespan_of
from service_runtime.http import errors
from service_runtime.http.body_limit import BodySizeLimit
from service_runtime.http.errors import InvalidField
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts, HostGuard


def create(
    title: str,
    probe: HealthCheck,
    lifespan: Lifespan,
    *,
    hosts: AllowedHosts | None = None,
    leave: Callable[[], None] | None = None,
    **options: Any,
) -> FastAPI:
    """Return an application with the probes, typed errors and a body limit.

    `lifespan` starts and ends the service's components. `hosts` are the Host names under which the
    service is called; None leaves that check to the caller. `leave` is called on the event loop as
    soon as the process is asked to end, while requests still run. `options` go to FastAPI.
    """
    middleware = [Middleware(BodySizeLimit, max_bytes=limits.MAX_JSON_FRAME_BYTES)]
    if hosts is not None:
        middleware.insert(0, Middleware(HostGuard, hosts=hosts))
    handlers: dict[Any, Any] = {
        **errors.HANDLERS,
        RequestValidationError: _invalid,
        HTTPException: _http_error,
    }
    app = FastAPI(
        title=title,
        lifespan=lifespan_of(lifespan),
        middleware=middleware,
        exception_handlers=handlers,
        docs_url=None,
        redoc_url=None,
        # Spans and metrics are those of dialog-telemetry.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # What arrives without a content type is JSON, or it is refused by its first byte.
        strict_content_type=False,
        **options,
    )
    app.router.routes.extend(probe.routes())
    app.state.leave = leave
    return app


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = dict(error.errors()[0])
    if first["type"] == "json_invalid":
        # FastAPI puts the position in the place of a field.
        first = {**first, "loc": (), "msg": f"invalid JSON: {first['ctx']['error']}"}
    elif first["loc"] and first["loc"][0] in ("body", "path", "query", "header"):
        first["loc"] = first["loc"][1:]
    return errors.respond(errors.first_problem(first))


async def _http_error(request: Request, error: Exception) -> Response:
    """FastAPI reports whatever happens while it reads a body as a 400 of its own."""
    cause = error.__cause__
    if isinstance(cause, ClientDisconnect):
        return await errors.caller_left(request, cause)
    if isinstance(cause, ValueError | RecursionError):
        return errors.respond(InvalidField(f"body: invalid JSON: {str(cause)[:100]}"))
    return await errors.http_error(request, error)

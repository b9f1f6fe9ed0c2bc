"""The application of a service without an HTTP API: probes, typed errors and a lifespan.

Workers of queues, and asr with its one WebSocket, use plain Starlette. A service with an HTTP API is
a FastAPI application (`service_runtime.api`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from dialog_contracts import limits
from service_runtime.http import errors
from service_runtime.http.body_limit import BodySizeLimit
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts, HostGuard

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def create(
    probe: HealthCheck,
    lifespan: Lifespan,
    routes: Sequence[BaseRoute],
    *,
    allowed_hosts: Sequence[str] = (),
    leave: Callable[[], None] | None = None,
    max_body_bytes: int = limits.MAX_JSON_FRAME_BYTES,
) -> Starlette:
    """Return the application, with `routes` and the probes.

    `lifespan` starts and ends the service's components. `allowed_hosts` are accepted Host names
    beside those of a cluster's services; no page of another origin may call the service. `leave` is
    called on the event loop as soon as the process is asked to end, while requests still run.
    `max_body_bytes` is the largest body of a request.
    """
    app = Starlette(
        routes=[*routes, *probe.routes()],
        lifespan=lifespan_of(lifespan),
        middleware=[
            Middleware(HostGuard, hosts=AllowedHosts(allowed_hosts, inside=True)),
            Middleware(BodySizeLimit, max_bytes=max_body_bytes),
        ],
        exception_handlers=errors.HANDLERS,
    )
    app.state.leave = leave
    return app


def lifespan_of(parts: Lifespan) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return `parts` as the lifespan that Starlette and FastAPI call with the application."""

    @asynccontextmanager
    async def run(_: Any) -> AsyncIterator[None]:
        async with parts():
            yield

    return run

"""The base application of every service: probes, typed errors, a body limit and a lifespan.

Services behind the gateway use plain Starlette: their messages are declared in dialog-contracts,
and every layer before a turn's first byte adds latency (ADR 2). The gateway, whose API people read,
is a FastAPI application (`extend`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from dialog_contracts import limits
from service_runtime.http import errors
from service_runtime.http.body_limit import BodySizeLimit
from service_runtime.http.health import HealthCheck
from service_runtime.http.hosts import AllowedHosts, HostGuard

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
A = TypeVar("A", bound=Starlette)


def create(
    probe: HealthCheck,
    lifespan: Lifespan,
    routes: Sequence[BaseRoute],
    *,
    allowed_hosts: Sequence[str] = (),
    leave: Callable[[], None] | None = None,
) -> Starlette:
    """Return the application of a service behind the gateway, with `routes` and the probes.

    `lifespan` starts and ends the service's components. `allowed_hosts` are accepted Host names
    beside those of a cluster's services; no page of another origin may call the service. `leave` is
    called on the event loop as soon as the process is asked to end, while requests still run.
    """
    app = Starlette(
        routes=[*routes, *probe.routes()],
        lifespan=_lifespan(lifespan),
        middleware=[
            Middleware(HostGuard, hosts=AllowedHosts(allowed_hosts, inside=True)),
            Middleware(BodySizeLimit, max_bytes=limits.MAX_JSON_FRAME_BYTES),
        ],
        exception_handlers=errors.HANDLERS,
    )
    app.state.leave = leave
    return app


def extend(make: Callable[..., A], probe: HealthCheck, lifespan: Lifespan, **options: Any) -> A:
    """Add the probes, error handlers and limits to an application class of the caller's choice."""
    app = make(lifespan=_lifespan(lifespan), exception_handlers=dict(errors.HANDLERS), **options)
    app.add_middleware(BodySizeLimit, max_bytes=limits.MAX_JSON_FRAME_BYTES)
    app.router.routes.extend(probe.routes())
    return app


def _lifespan(parts: Lifespan) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(_: Any) -> AsyncIterator[None]:
        async with parts():
            yield

    return run

"""The application as every service begins it: probes, typed errors, body limit, and a lifespan of parts.

Plain Starlette for the services behind the gateway: their messages are declared in dialog-contracts, and every layer before a turn's first
byte counts (ADR 2). The gateway, which people read the API of, is a FastAPI application (`extend`).
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
    """An application of a service behind the gateway: starts and ends its parts by `lifespan`, has these routes and the probes.

    `allowed_hosts`: names it answers to beside those of a cluster's services. No page may call it, but for the gateway's.
    `leave` is called on the event loop as soon as the process is told to end, while requests still run.
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
    """The same around an application class of the caller's choice."""
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

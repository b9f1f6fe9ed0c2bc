"""The FastAPI application as every service begins it: probes, typed errors, body limit, and a lifespan of parts."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from dialog_contracts import limits
from service_runtime import errors
from service_runtime.limits import BodyLimit
from service_runtime.probes import Probe

Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def create(
    title: str, probe: Probe, lifespan: Lifespan, *, max_body_bytes: int = limits.JSON_FRAME_BYTES, docs: bool = False
) -> FastAPI:
    """An application that starts and ends its parts by `lifespan` and has no routes but the probes."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    app = FastAPI(title=title, lifespan=run, docs_url=None, redoc_url=None, openapi_url="/openapi.json" if docs else None)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    errors.install(app)
    app.include_router(probe.router())
    return app

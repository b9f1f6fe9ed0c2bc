"""The application of a service that processes a work queue; over HTTP it serves the probes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from dialog_contracts import limits
from dialog_redis.work_queue.job import Handle, OnExhausted
from dialog_redis.work_queue.queue import WorkQueue
from service_runtime import application
from service_runtime.http.health import HealthCheck

Parts = Callable[[AsyncExitStack], None]


def create_worker_app(
    probe: HealthCheck,
    work: WorkQueue,
    handle: Handle,
    given_up: OnExhausted,
    parts: Parts = lambda _: None,
    routes: Sequence[BaseRoute] = (),
    max_body_bytes: int = limits.MAX_JSON_FRAME_BYTES,
) -> Starlette:
    """Return the application.

    `parts` starts what the jobs need and registers its end on the stack. Jobs are fetched after
    that and finished before it ends. `routes` are served beside the probes.
    """
    probe.require("redis", lambda: work.unavailable_reason)
    probe.info(
        "work", lambda: {"list": work.name, "waiting": work.waiting, "running": work.running}
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            parts(stack)
            work.start(handle, given_up)
            stack.push_async_callback(work.aclose)
            yield

    return application.create(probe, lifespan, routes, max_body_bytes=max_body_bytes)

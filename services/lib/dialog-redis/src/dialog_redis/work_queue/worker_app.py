"""The application of a service that lives from a work list: it takes work, and its HTTP face has only the probes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

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
) -> Starlette:
    """`parts` starts what the work needs and leaves its end on the stack; work is taken after that, and let go before."""
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

    return application.create(probe, lifespan, [])

"""The application of a service that lives from a work list: it takes work, and its HTTP face has only the probes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from service_runtime import application
from service_runtime.job import GivenUp, Handle
from service_runtime.probes import Probe
from service_runtime.work_list import WorkList

Parts = Callable[[AsyncExitStack], None]


def create(
    probe: Probe, work: WorkList, handle: Handle, given_up: GivenUp, parts: Parts = lambda _: None
) -> Starlette:
    """`parts` starts what the work needs and leaves its end on the stack; work is taken after that, and let go before."""
    probe.need("redis", lambda: work.down_because)
    probe.detail(
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

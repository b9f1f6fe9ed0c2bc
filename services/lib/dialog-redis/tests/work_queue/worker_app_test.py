"""The order of starts and ends, with a real Valkey.

The service itself is in the tests of its member.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette

from dialog_contracts import redis_names
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_redis.work_queue.queue import WorkQueue
from dialog_redis.work_queue.worker_app import create_worker_app
from service_runtime.http.health import HealthCheck

pytestmark = pytest.mark.usefixtures("quick")

LIST = "user_input_queue"


def given_up(_: str) -> list[RedisCommand]:
    raise AssertionError


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[Callable[[], Awaitable[tuple[int, Any]]]]:
    """The application inside its lifespan; gives what /readyz says."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:

            async def ready() -> tuple[int, Any]:
                answer = await http.get("/readyz")
                return answer.status_code, answer.json()

            yield ready


async def test_jobs_run_only_while_that_which_they_need_is_there(url: str, redis: "Redis") -> None:
    events: list[str] = []
    release = asyncio.Event()

    async def handle(job: Job) -> None:
        events.append("begun")
        await release.wait()
        events.append("done")
        await job.complete()

    def parts(stack: AsyncExitStack) -> None:
        events.append("parts")
        stack.callback(events.append, "parts ended")

    await redis.lpush(LIST, "a")
    work = WorkQueue(url, LIST, "one")
    app = create_worker_app(HealthCheck("svc"), work, handle, given_up, parts)
    async with running(app):

        async def begun() -> bool:
            return "begun" in events

        await until(begun)
        assert events == ["parts", "begun"]
        asyncio.get_running_loop().call_later(0.05, release.set)
    assert events == ["parts", "begun", "done", "parts ended"]
    assert not await redis.exists(LIST, redis_names.processing(LIST, "one"))


async def test_readiness_says_what_it_works_at(url: str, redis: "Redis") -> None:
    release = asyncio.Event()

    async def handle(job: Job) -> None:
        await release.wait()
        await job.complete()

    work = WorkQueue(url, LIST, "one", at_once=2)
    app = create_worker_app(HealthCheck("svc"), work, handle, given_up)
    async with running(app) as ready:
        await redis.lpush(LIST, *"abcde")

        async def as_expected() -> bool:
            status, state = await ready()
            found = state.get("details", {}).get("work")
            return status == 200 and found == {"list": LIST, "waiting": 3, "running": 2}

        await until(as_expected)
        release.set()


async def test_without_redis_it_is_not_ready_and_says_so_until_it_is(no_url: str) -> None:
    async def handle(_: Job) -> None:
        raise AssertionError

    work = WorkQueue(no_url, LIST, "one")
    app = create_worker_app(HealthCheck("svc"), work, handle, given_up)
    async with running(app) as ready:
        status, state = await ready()
        assert status == 503
        assert [reason.partition(":")[0] for reason in state["reasons"]] == ["redis"]


async def test_parts_that_do_not_start_leave_no_job_half_done(url: str, redis: "Redis") -> None:
    ended: list[str] = []

    async def handle(_: Job) -> None:
        raise AssertionError

    def parts(stack: AsyncExitStack) -> None:
        stack.callback(ended.append, "first")
        raise OSError("no second part")

    await redis.lpush(LIST, "a")
    work = WorkQueue(url, LIST, "one")
    app = create_worker_app(HealthCheck("svc"), work, handle, given_up, parts)
    with pytest.raises(OSError, match="no second part"):
        async with running(app):
            raise AssertionError
    assert ended == ["first"]
    await asyncio.sleep(0.1)
    assert work.unavailable_reason == "not connected yet", "nothing was begun"
    assert await redis.lrange(LIST, 0, -1) == ["a"]
    await work.aclose()

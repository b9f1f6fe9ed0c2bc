"""A real Valkey for all tests of this package, and work lists that do not dawdle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_contracts import redis_names
from service_runtime import work_list
from service_runtime.work_list import GivenUp, Handle, WorkList

Worked = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Store(tmp_path_factory.mktemp("valkey")) as store:
        yield store.url


@pytest.fixture
async def redis(url: str) -> AsyncIterator["Redis"]:
    client: Redis = Redis.from_url(url, decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_list, "BLOCK_S", 0.02)
    monkeypatch.setattr(work_list, "RENEW_EVERY_S", 0.05)
    monkeypatch.setattr(work_list, "AGAIN_AFTER_S", 0.02)


@pytest.fixture
def worked(url: str, redis: "Redis") -> Worked:
    """Messages go through a list, oldest first, until nothing of them is left there."""

    async def through(name: str, handle: Handle, given_up: GivenUp, *raws: str | bytes, at_once: int = 4) -> None:
        await redis.lpush(name, *raws)
        work = WorkList(url, name, "one", at_once=at_once)
        work.start(handle, given_up)
        async with asyncio.timeout(5):
            while await redis.exists(name, redis_names.processing(name, "one")):
                await asyncio.sleep(0.005)
        await work.aclose()

    return through

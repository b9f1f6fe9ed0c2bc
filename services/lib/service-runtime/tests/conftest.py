"""A real Valkey for the tests of this package that only read and write; those that end servers start their own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from service_runtime.redis_link import RedisLink
from vtuber_cli import ports


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


@pytest.fixture
async def link(url: str) -> AsyncIterator[RedisLink]:
    made = RedisLink(url, timeout_s=2)
    yield made
    await made.aclose()


@pytest.fixture
async def no_link() -> AsyncIterator[RedisLink]:
    """To a port where nobody listens."""
    made = RedisLink(f"redis://127.0.0.1:{ports.free()}/0")
    yield made
    await made.aclose()

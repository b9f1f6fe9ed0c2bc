"""In these tests Redis is a `RedisClient`, as input-handler has it.

And an engine that follows a script.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dialog_contracts.http import FlagSet
from dialog_redis.client import RedisClient
from dialog_redis.legacy.responses import LegacyResponses
from input_handler.engine.client import EngineClient
from input_handler.testing.legacy_pipeline import LegacyPipeline, turn_service
from input_handler.testing.scripted_engine import ScriptedEngine
from input_handler.turns.turn_service import TurnService
from service_runtime.testing.local_server import serving


@pytest.fixture
def valkey_url(url: str) -> str:
    return url


@pytest.fixture
def redis(link: RedisClient) -> RedisClient:
    return link


@pytest.fixture
def no_redis_url(no_url: str) -> str:
    return no_url


@pytest.fixture
def no_redis(no_link: RedisClient) -> RedisClient:
    return no_link


@pytest.fixture
async def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def engine_url(engine: ScriptedEngine) -> AsyncIterator[str]:
    async with serving(engine) as port:
        yield f"http://127.0.0.1:{port}"
        await asyncio.sleep(0)


@pytest.fixture
async def answers(valkey_url: str) -> AsyncIterator[LegacyResponses]:
    made = LegacyResponses(valkey_url)
    made.start()
    yield made
    await made.aclose()


@pytest.fixture
async def chain(redis: RedisClient, valkey_url: str) -> LegacyPipeline:
    return LegacyPipeline(redis, valkey_url)


@pytest.fixture
async def client(engine_url: str) -> AsyncIterator[EngineClient]:
    made = EngineClient(engine_url)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
def caller(client: EngineClient, redis: RedisClient, answers: LegacyResponses) -> TurnService:
    return turn_service(client, redis, answers, FlagSet())

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from dialog_redis.client import RedisClient
from long_term_memory.event_routes import event_routes
from long_term_memory.event_store import EventStore
from service_runtime.http import errors


def application(link: RedisClient) -> Starlette:
    store = EventStore(link, memories=10, ttl_s=1_000)
    return Starlette(routes=event_routes(store), exception_handlers=errors.HANDLERS)


@pytest.fixture
async def client(link: RedisClient) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(link))
    async with httpx.AsyncClient(transport=transport, base_url="http://ltm") as made:
        yield made


EVENT = {
    "eventId": "0199f2c4-7d1e-7c3a-9b52-6f1e2a4d8c02",
    "correlationId": "live-001#42",
    "sessionId": "live-001",
    "turn": 42,
    "type": "LtmWriteRequested",
    "payload": {"text": "t", "reply": "r", "vectorize": False},
    "ts": 1790006400,
}


async def test_each_event_has_its_own_result(client: httpx.AsyncClient) -> None:
    bad = {**EVENT, "turn": 0}
    answer = await client.post("/events", json={"events": [EVENT, bad, EVENT]})
    assert answer.status_code == 200
    first, second, third = answer.json()["rejected"]
    assert (first, third) == (None, None)
    assert second.startswith("turn")


@pytest.mark.parametrize("body", ["no json", "{}", '{"events":[]}'])
async def test_a_bad_body_names_the_field(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("/events", content=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


async def test_without_redis_it_says_so(no_link: RedisClient) -> None:
    transport = httpx.ASGITransport(application(no_link))
    async with httpx.AsyncClient(transport=transport, base_url="http://ltm") as client:
        answer = await client.post("/events", json={"events": [EVENT]})
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)

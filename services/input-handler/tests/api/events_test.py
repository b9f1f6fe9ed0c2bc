import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialog_contracts import redis_names
from dialog_contracts.events_api import ReplayRequest
from dialog_redis.client import RedisClient
from dialog_redis.event_streams.publisher import EventPublisher
from input_handler.api.events import EventsAdmin
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import EnginePool
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

LTM = redis_names.EVENTS_LTM
PARKED = {
    "id": "e-1", "where": "parked", "stream": LTM, "ordinal": 0, "eventId": "e-1", "type": "t",
    "reason": "r", "atMs": 5, "payload": "{}",
}  # fmt: skip


class Engine:
    """An engine with a backlog and one parked event."""

    def __init__(self) -> None:
        self.replayed: list[Any] = []

    async def backlog(self, _: Request) -> Response:
        return JSONResponse({"ordinal": 0, "waiting": 3, "parked": 1, "atMs": 1})

    async def parked(self, _: Request) -> Response:
        return JSONResponse({"events": [PARKED]})

    async def replay(self, request: Request) -> Response:
        self.replayed.append(json.loads(await request.body()))
        return JSONResponse({"parked": 1, "dead": 0})


@pytest.fixture
def keys(link: RedisClient) -> Any:
    """The keys of the same Redis, without deadlines."""
    return link.client


@pytest.fixture
def engine() -> Engine:
    return Engine()


@asynccontextmanager
async def admin(redis: RedisClient, engine: Engine) -> AsyncIterator[EventsAdmin]:
    """Two engines: the second does not answer."""
    app = Starlette(
        routes=[
            Route("/outbox", engine.backlog),
            Route("/outbox/parked", engine.parked),
            Route("/outbox/replay", engine.replay, methods=["POST"]),
        ]
    )

    def guard(client: EngineClient, name: str) -> EngineGuard:
        return EngineGuard(client, name=name, accept_timeout_s=1, first_token_timeout_s=1)

    async with serving(app) as port:
        urls = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ports.free()}"]
        pool = EnginePool(urls, None, EngineClient, guard)
        await pool.open()
        yield EventsAdmin(redis, pool)
        await pool.aclose()


async def test_engines_that_do_not_answer_are_listed_with_their_last_report(
    link: RedisClient, keys: Any, engine: Engine, url: str
) -> None:
    report = {"ordinal": 1, "waiting": 9, "parked": 0, "atMs": 7, "live": True}
    await keys.hset(redis_names.OUTBOX_BACKLOGS, "1", json.dumps(report))
    await keys.hset(redis_names.OUTBOX_BACKLOGS, "2", "of a newer version")
    publisher = EventPublisher(url)
    await publisher.attach(LTM)
    await publisher.aclose()
    await keys.xadd(LTM, {"payload": "{}"})
    async with admin(link, engine) as made:
        found = await made.backlog()
    assert [(each.ordinal, each.waiting, each.live) for each in found.outboxes] == [
        (0, 3, True),
        (1, 9, False),
    ]
    assert [(each.stream, each.unread, each.pending, each.dead) for each in found.streams] == [
        (LTM, 1, 0, 0),
        (redis_names.EVENTS_ANALYTICS, 0, 0, 0),
    ]
    assert found.redis is None


async def test_without_redis_the_engines_are_still_listed(
    no_link: RedisClient, engine: Engine
) -> None:
    async with admin(no_link, engine) as made:
        found = await made.backlog()
        assert [each.ordinal for each in found.outboxes] == [0]
        assert found.redis is not None
        failed = await made.failed()
        assert [event.id for event in failed.events] == ["e-1"]
        receipt = await made.replay(ReplayRequest())
        assert (receipt.parked, receipt.dead, len(receipt.unreachable)) == (1, 0, 2)


async def test_failed_events_of_engines_and_streams_are_listed_and_replayed(
    link: RedisClient, keys: Any, engine: Engine
) -> None:
    dead = redis_names.dead_events(LTM)
    fields = {"eventId": "e-2", "type": "t", "payload": "{}", "reason": "bad", "at": "9"}
    name = await keys.xadd(dead, fields)
    async with admin(link, engine) as made:
        found = await made.failed()
        assert [(event.id, event.where, event.reason) for event in found.events] == [
            (name, "dead", "bad"),
            ("e-1", "parked", "r"),
        ]
        receipt = await made.replay(ReplayRequest(ids=["e-1", name, "1-x"]))
        assert (receipt.parked, receipt.dead) == (1, 1)
        assert engine.replayed == [{"ids": ["e-1", name, "1-x"]}]
        assert await keys.xlen(dead) == 0
        assert [row["eventId"] for _, row in await keys.xrange(LTM)] == ["e-2"]
        await keys.xadd(dead, fields)
        assert (await made.replay(ReplayRequest())).dead == 1

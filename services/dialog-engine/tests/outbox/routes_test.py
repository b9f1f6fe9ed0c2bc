from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from e2e.event_simulation.streams import InMemoryPublisher, InMemoryRedis
from fastapi import FastAPI

from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.backlog_report import BacklogReport
from dialog_engine.outbox.routes import outbox_routes
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.stored_turn import StoredTurn
from dialog_redis.client import RedisClient
from dialog_sqlite.database import Database


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    opened = database(tmp_path / "engine.db")
    await opened.open()
    yield opened
    await opened.close()


async def test_what_is_parked_is_listed_and_replayed(file: Database, no_link: RedisClient) -> None:
    clock = [1_790_000_000.0]
    store = OutboxStore(file)
    redis = InMemoryRedis(lambda: clock[0])
    relay = OutboxRelay(store, InMemoryPublisher(redis), clock=lambda: clock[0])
    await ShortTermMemory(file).commit(StoredTurn("a", 1, "poison", "r", 1, events=True))
    for _ in range(10):
        await relay.step()
        clock[0] += 120
    app = FastAPI()
    app.include_router(outbox_routes(store, relay, BacklogReport(no_link, relay, 3)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
        assert (await client.get("/outbox")).json()["ordinal"] == 3
        [parked] = (await client.get("/outbox/parked")).json()["events"]
        assert (parked["where"], parked["ordinal"], parked["reason"]) == ("parked", 3, "poison")
        answer = await client.post("/outbox/replay", json={"ids": [parked["id"]]})
        assert answer.json() == {"parked": 1, "dead": 0, "unreachable": []}
        assert (await client.get("/outbox/parked")).json()["events"] == []
        assert (await client.post("/outbox/replay", json={"ids": []})).status_code == 422

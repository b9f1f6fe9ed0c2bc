import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from async_workers.analytics_worker import build
from async_workers.settings import AnalyticsSettings
from dialog_contracts import redis_names
from dialog_contracts.event_id import event_id
from dialog_contracts.outbox import OutboxEvent
from dialog_sqlite.errors import UnusableDatabase
from service_runtime.testing.local_server import serving

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]
STREAM = redis_names.EVENTS_ANALYTICS


def counted(turn: int) -> OutboxEvent:
    return OutboxEvent.model_validate(
        {
            "eventId": event_id(1_790_000_000_000, turn),
            "correlationId": f"live-001#{turn}",
            "sessionId": "live-001",
            "turn": turn,
            "type": "AnalyticsChatStats",
            "payload": {"first_audio_ms": 100.0 + turn, "interrupted": turn == 2},
            "ts": 1_790_000_000,
        }
    )


async def test_turns_of_the_stream_are_counted_and_served(
    url: str, redis: Redis, get: Get, tmp_path: Path
) -> None:
    for turn in (1, 2, 3, 3):
        await redis.xadd(STREAM, {"payload": counted(turn).to_json()})
    app = build(AnalyticsSettings(redis_url=url, analytics_db=tmp_path / "a.db", pod_name="one"))
    async with serving(app) as port, asyncio.timeout(30):
        while True:
            _, found = await get(port, "/analytics?session=live-001")
            if found["sessions"][0]["turns"] == 3:
                break
            await asyncio.sleep(0.02)
        figures = found["sessions"][0]
        assert (figures["interrupted"], figures["first_audio_p95_ms"]) == (1, 103.0)
        assert [turn["turn"] for turn in figures["recent"]] == [1, 2, 3]
        assert (await get(port, "/analytics"))[1]["sessions"][0]["session"] == "live-001"
        status, body = await get(port, "/analytics?session=no/id")
        assert (status, body["code"], body["field"]) == (422, "invalid", "session")
        assert (await get(port, "/readyz"))[0] == 200
    group = redis_names.EVENT_GROUPS[STREAM]
    assert (await redis.xpending(STREAM, group))["pending"] == 0


async def test_without_redis_figures_are_served_and_it_is_ready(
    no_url: str, get: Get, tmp_path: Path
) -> None:
    app = build(AnalyticsSettings(redis_url=no_url, analytics_db=tmp_path / "a.db"))
    async with serving(app) as port:
        assert await get(port, "/analytics") == (200, {"sessions": []})
        status, body = await get(port, "/readyz")
        assert status == 200
        assert body["info"]["redis"] != "ok" if "info" in body else True


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableDatabase, match="ANALYTICS_DB"):
        build(AnalyticsSettings(analytics_db=tmp_path))

from typing import Any, cast

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.events_api import OutboxBacklog
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.outbox.backlog_report import BacklogReport
from dialog_engine.outbox.rows import Backlog
from dialog_redis.client import RedisClient


class Relay:
    backlog = Backlog(7, 1, 1_790_000_000_000)
    problem: str | None = "Redis is not available"


def report(link: RedisClient) -> BacklogReport:
    return BacklogReport(link, cast(OutboxRelay, cast(Any, Relay())), 2)


async def test_it_lies_under_the_ordinal_and_stays(link: RedisClient, redis: Redis) -> None:
    await report(link).write()
    raw = await redis.hget(redis_names.OUTBOX_BACKLOGS, "2")
    found = OutboxBacklog.from_json(str(raw))
    assert (found.ordinal, found.waiting, found.parked, found.live) == (2, 7, 1, True)
    assert found.problem == "Redis is not available"
    assert await redis.ttl(redis_names.OUTBOX_BACKLOGS) == -1


async def test_without_redis_nothing_is_written_and_nothing_fails(no_link: RedisClient) -> None:
    await report(no_link).write()

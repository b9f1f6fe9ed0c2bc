"""Reports the outbox's backlog to Redis, under the engine's ordinal.

The report stays when the engine is gone, so that events on a volume without an engine are visible.
"""

import asyncio
import time
from typing import Final

import structlog
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.events_api import OutboxBacklog
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_redis.client import RedisClient, RedisUnavailable

log = structlog.get_logger("outbox")

INTERVAL_S: Final = 5.0


class BacklogReport:
    """Writes the report of one engine; `ordinal` is its number."""

    def __init__(self, redis: RedisClient, relay: OutboxRelay, ordinal: int) -> None:
        self._redis, self._relay, self._ordinal = redis, relay, ordinal

    def current(self) -> OutboxBacklog:
        """Return the backlog, up to a second old."""
        backlog, problem = self._relay.backlog, self._relay.problem
        return OutboxBacklog(
            ordinal=self._ordinal,
            waiting=backlog.waiting,
            parked=backlog.parked,
            oldest_ms=backlog.oldest_ms,
            problem=problem[:200] if problem is not None else None,
            at_ms=int(time.time() * 1000),
        )

    async def run(self) -> None:
        """Report every five seconds until cancelled."""
        while True:
            await self.write()
            await asyncio.sleep(INTERVAL_S)

    async def write(self) -> None:
        """Report once; while Redis is not available nothing is written."""
        report = self.current().to_json()

        async def work(client: Redis) -> None:
            await client.hset(redis_names.OUTBOX_BACKLOGS, str(self._ordinal), report)

        try:
            await self._redis.call("outbox_report", work)
        except RedisUnavailable as error:
            log.debug("backlog_not_reported", reason=str(error))

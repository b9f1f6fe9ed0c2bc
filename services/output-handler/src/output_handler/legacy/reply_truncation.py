"""Truncates a stored reply whose audio file was stopped.

The legacy pipeline stores a reply as a whole before its file plays. When the file is stopped, the
history in Redis is shortened to what was played; the next turn waits until that has happened.
"""

from typing import Final

import structlog
from redis.asyncio import Redis

from dialog_contracts.ingest import Stop
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.session_history import SessionHistory
from dialog_redis.work_queue.commands import execute, store_turns
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("session")

PURPOSE: Final = "heard_words"


class ReplyTruncation:
    """Works in the background; `aclose` waits for what is left."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._history = redis, SessionHistory(redis)
        self._active_playback = ActivePlayback(redis)
        self._tasks = BackgroundTasks()

    async def aclose(self) -> None:
        """Wait for pending writes, then end."""
        await self._tasks.wait_idle()
        await self._tasks.close()

    def truncate(self, stop: Stop) -> None:
        """Store the turn as interrupted, with `stop.heard_text` as its reply. Does not wait."""
        self._tasks.start("heard_words", self._store(stop))

    async def _store(self, stop: Stop) -> None:
        await self._shortened(stop)
        # The engine that begins the next turn waits for this.
        await self._active_playback.finished(stop.session_id, stop.turn or 0)

    async def _shortened(self, stop: Stop) -> None:
        turn, played = stop.turn or 0, stop.heard_text or ""
        try:
            known = [
                record
                for record in await self._history.turns(stop.session_id, after=turn - 1)
                if record.turn == turn
            ]
            if not known or not known[0].reply.startswith(played) or known[0].reply == played:
                return
            record = known[0].model_copy(update={"reply": played, "interrupted": True})
            commands = store_turns(stop.session_id, [record])

            async def work(client: Redis) -> None:
                await execute(client, commands)

            await self._redis.call(PURPOSE, work)
        except RedisUnavailable as error:
            metrics.TRUNCATIONS_FAILED.inc()
            log.warning(
                "heard_words_not_filed", session=stop.session_id, turn=turn, reason=str(error)
            )

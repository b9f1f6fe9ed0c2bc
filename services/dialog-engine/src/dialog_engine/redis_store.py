"""Redis for the engine: reply claims, shared history, turn samples, voice file requests."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.session_history import SessionHistory
from dialog_redis.work_queue.commands import (
    announce_turn,
    execute,
    sample_command,
    store_turns,
    trim_samples_command,
)

log = structlog.get_logger("engine_store")

COUNTERS_PER_BATCH: Final = 1_000

_RAISE_COUNTER: Final = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
if last < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) else redis.call('EXPIRE', KEYS[1], ARGV[2]) end
"""


class ClaimState(Enum):
    """Which path may answer a turn."""

    ACQUIRED = auto()
    HELD_BY_OTHER = auto()
    UNKNOWN = auto()
    """Redis is not available. The engine answers and repeats the request until it knows.

    The legacy pipeline needs Redis too, so it does not answer meanwhile.
    """


class EngineStore:
    """Redis for the engine.

    No method raises RedisUnavailable; the return value tells of a failure.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis, self._history = redis, SessionHistory(redis)
        self._active_playback = ActivePlayback(redis)

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        """Claim the turn for the main path, unless the legacy pipeline has claimed it."""
        key = redis_names.reply_claim(correlation_id)

        async def work(client: Redis) -> ClaimState:
            held = await client.set(
                key, "sync", nx=True, ex=redis_names.REPLY_CLAIM_TTL_S, get=True
            )
            return (
                ClaimState.ACQUIRED if held is None or held == "sync" else ClaimState.HELD_BY_OTHER
            )

        try:
            return await self._redis.call("claim", work)
        except RedisUnavailable:
            return ClaimState.UNKNOWN

    async def publish_history(
        self, session_id: str, records: Sequence[TurnRecord], said: TurnRecord | None = None
    ) -> bool:
        """Store turns in the session's history and raise its turn counter.

        `said` is also announced to older services on `memory_updates`. Returns False if Redis was
        not available: call again with the same records.
        """
        if not records:
            return True
        commands = [
            *store_turns(session_id, records),
            *(announce_turn(said, session_id) if said is not None else ()),
        ]
        last = str(max(record.turn for record in records))

        async def work(client: Redis) -> None:
            try:
                await execute(client, commands)
            except ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                # Versions before 0.2 stored a list under this key. The database has its turns.
                await client.delete(redis_names.history(session_id))
                await execute(client, commands)
            await client.eval(
                _RAISE_COUNTER,
                1,
                redis_names.turn_counter(session_id),
                last,
                str(redis_names.SESSION_TTL_S),
            )

        return await self._try("history", work)

    async def turns_since(self, session_id: str, turn: int) -> tuple[list[TurnRecord], int] | None:
        """Return the turns after this one, oldest first, and the last turn before a RESET.

        None while Redis is not available.
        """
        try:
            return await self._history.turns(
                session_id, after=turn
            ), await self._history.reset_after(session_id)
        except RedisUnavailable as error:
            log.warning("history_not_read", reason=str(error))
            return None

    async def expire_counters(self) -> None:
        """Set a lifetime on turn counters that have none, as versions before 0.3 created them."""

        async def work(client: Redis) -> None:
            found = [
                key
                async for key in client.scan_iter(match=redis_names.turn_counter("*"), count=1_000)
            ]
            for begin in range(0, len(found), COUNTERS_PER_BATCH):
                async with client.pipeline(transaction=False) as together:
                    for key in found[begin : begin + COUNTERS_PER_BATCH]:
                        together.expire(key, redis_names.SESSION_TTL_S, nx=True)
                    await together.execute()

        await self._redis.call_until_available("counters", work)

    async def playing_turn(self, session_id: str) -> int:
        """Return the session's turn that plays elsewhere (another engine or a file), or 0."""
        return await self._active_playback.current(session_id)

    async def wait_until_stopped(self, session_id: str, turn: int) -> None:
        """Wait until the turn no longer plays elsewhere, for 0.3 s at most."""
        await self._active_playback.wait_finished(session_id, turn)

    async def save_reset(self, session_id: str, turn: int) -> None:
        """Begin the legacy pipeline's prompts after this turn too."""

        async def work(client: Redis) -> None:
            await client.set(
                redis_names.reset_after(session_id), str(turn), ex=redis_names.SESSION_TTL_S
            )

        await self._try("reset", work)

    async def enqueue_voice_file(self, request: TtsRequest) -> bool:
        """Request one file with the whole reply; False if Redis was not available."""

        async def work(client: Redis) -> None:
            await client.lpush(redis_names.TTS_REQUESTS, request.to_json())

        return await self._try("voice", work)

    async def append_sample(self, sample: TurnSample) -> None:
        """Append the sample to the stream `vtuber:turns`, and remove old ones."""

        async def work(client: Redis) -> None:
            await execute(client, [sample_command(sample), trim_samples_command(sample.ts)])

        await self._try("sample", work)

    async def _try(self, purpose: str, work: Callable[[Redis], Awaitable[None]]) -> bool:
        try:
            await self._redis.call(purpose, work)
        except RedisUnavailable as error:
            log.warning("redis_write_failed", purpose=purpose, reason=str(error))
            return False
        return True

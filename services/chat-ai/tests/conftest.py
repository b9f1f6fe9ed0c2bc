"""The lists around chat-ai, in Valkey: a turn goes in, and what it leaves is read.

Tests name this class only for mypy: pytest's import mode gives test modules no neighbours at run time.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, TtsRequest, UserInput
from dialog_redis.legacy import failures
from dialog_redis.work_queue.job import Handle

Worked = Callable[..., Awaitable[None]]


class Chain:
    """Of one session, live-001."""

    LIST: Final = redis_names.CHAT_REQUESTS
    META: Final = ChainMeta(
        session_id="live-001",
        turn=3,
        reason="unreachable",
        received_at=time.time(),
        flags=FlagSet(generation=2),
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    )

    def __init__(self, redis: "Redis", worked: Worked) -> None:
        self.redis, self._worked = redis, worked

    def turn(self, content: str = "hello", **meta: object) -> str:
        known = self.META.model_copy(update=meta)
        return UserInput(task_id="live-001", user_id="tom", content=content, meta=known).to_json()

    async def worked(self, handle: Handle, *raws: str | bytes, at_once: int = 4) -> None:
        """These go through the list, oldest first, until nothing of them is left there."""
        await self._worked(self.LIST, handle, failures.exhausted, *raws, at_once=at_once)

    async def requests(self) -> list[TtsRequest]:
        """What goes to the voice."""
        return [
            TtsRequest.from_json(str(raw))
            for raw in await self.redis.lrange(redis_names.TTS_REQUESTS, 0, -1)
        ]

    async def history(self) -> list[TurnRecord]:
        return [
            TurnRecord.from_json(str(raw))
            for raw in await self.redis.zrange(redis_names.history("live-001"), 0, -1)
        ]

    async def answer(self) -> TaskResponse:
        """The only one."""
        [raw] = await self.redis.hvals(redis_names.responses("live-001"))
        return TaskResponse.from_json(raw)


@pytest.fixture
def chain(redis: "Redis", worked: Worked) -> Chain:
    return Chain(redis, worked)

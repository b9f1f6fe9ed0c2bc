"""What chat-ai reads before it writes, at a real Valkey that may be away."""

import asyncio
from pathlib import Path

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from chat_ai import context as module
from chat_ai.context import TurnContext
from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import TaskResponse
from dialog_redis.client import RedisClient
from dialog_redis.work_queue import commands


@pytest.fixture
def recollection(link: RedisClient) -> TurnContext:
    return TurnContext(link, 2)


async def remember(redis: "Redis", *turns: int) -> None:
    for effect in commands.store_turns(
        "s", [TurnRecord(turn=turn, user="q", reply="a", ts=1) for turn in turns]
    ):
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]


async def test_the_last_turns_oldest_first_of_either_path_and_none_before_a_reset(
    redis: "Redis", recollection: TurnContext
) -> None:
    assert await recollection.turns("s") == []
    await remember(redis, 3, 1, 2)
    assert [record.turn for record in await recollection.turns("s")] == [2, 3]
    await redis.set(redis_names.reset_after("s"), 2)
    assert [record.turn for record in await recollection.turns("s")] == [3]


async def test_a_history_of_an_older_version_is_made_room_of(
    redis: "Redis", recollection: TurnContext
) -> None:
    await redis.rpush(redis_names.history("s"), "a list")
    assert await recollection.turns("s") == []
    await remember(redis, 1)
    assert [record.turn for record in await recollection.turns("s")] == [1]


async def test_whether_a_turn_has_its_answer(redis: "Redis", recollection: TurnContext) -> None:
    assert not await recollection.answered("s", "s#1")
    await redis.hset(
        redis_names.responses("s"), "s#1", TaskResponse(message_id="s#1", task_id="s").to_json()
    )
    assert await recollection.answered("s", "s#1")
    assert not await recollection.answered("s", "s#2")


async def test_it_waits_for_a_redis_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_PAUSE_S", 0.02)
    store = Store(tmp_path)
    link = RedisClient(store.url, cooldown_s=0.05)
    waiting = asyncio.create_task(TurnContext(link, 5).turns("s"))
    answered = asyncio.create_task(TurnContext(link, 5).answered("s", "s#1"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert not answered.done()
    with store:
        async with asyncio.timeout(5):
            assert (await waiting, await answered) == ([], False)
    await link.aclose()

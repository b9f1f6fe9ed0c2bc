"""A viewer's last words, in a real Valkey."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from memory.viewer_history import MAX_NAME_CHARS, ViewerHistory


async def file(
    redis: "Redis", content: str, user: str = "tom", session: str = "live-001", at: float = 0
) -> None:
    message = UserInput(task_id=session, user_id=user, content=content, timestamp=at, source="asr")
    for effect in ViewerHistory(3, 100).append_commands(message, session, f"{session}#1"):
        await redis.execute_command(*effect)  # type: ignore[no-untyped-call]


async def words(redis: "Redis", viewer: str) -> list[dict[str, Any]]:
    return [
        json.loads(row) for row in await redis.lrange(redis_names.viewer_context(viewer), 0, -1)
    ]


async def contents(redis: "Redis", viewer: str) -> list[str]:
    return [item["content"] for item in await words(redis, viewer)]


async def test_the_newest_is_last_and_the_oldest_are_forgotten(redis: "Redis") -> None:
    for number in range(5):
        await file(redis, f"{number}")
    assert await contents(redis, "tom") == ["2", "3", "4"]


async def test_it_is_forgotten_some_time_after_the_last_word(redis: "Redis") -> None:
    await file(redis, "a")
    await redis.expire(redis_names.viewer_context("tom"), 5)
    await file(redis, "b")
    assert 90 < await redis.ttl(redis_names.viewer_context("tom")) <= 100


async def test_a_viewer_with_a_name_is_known_in_every_session(redis: "Redis") -> None:
    await file(redis, "a", session="live-001")
    await file(redis, "b", session="live-002")
    assert await contents(redis, "tom") == ["a", "b"]


@pytest.mark.parametrize("nobody", ["anonymous", "", "x" * (MAX_NAME_CHARS + 1)])
async def test_who_has_no_name_is_known_in_his_session_only(redis: "Redis", nobody: str) -> None:
    await file(redis, "a", nobody, "live-001")
    await file(redis, "b", nobody, "live-002")
    assert await contents(redis, "anonymous:live-001") == ["a"]
    assert await contents(redis, "anonymous:live-002") == ["b"]
    assert len(await redis.keys()) == 2


async def test_a_viewer_named_as_a_session_does_not_read_what_strangers_said_there(
    redis: "Redis",
) -> None:
    await file(redis, "secret", "anonymous", "live-001")
    await file(redis, "mine", "live-001", "live-002")
    assert await contents(redis, "live-001") == ["mine"]


async def test_an_entry_is_as_older_readers_know_it(redis: "Redis") -> None:
    said_at = time.time() - 60
    await file(redis, "今晚玩什么？", at=said_at)
    raw = await redis.lindex(redis_names.viewer_context("tom"), 0)
    assert "今晚玩什么？" in str(raw)
    assert await words(redis, "tom") == [
        {
            "message_id": "live-001#1:user",
            "user_id": "tom",
            "type": "text",
            "content": "今晚玩什么？",
            "source": "asr",
            "timestamp": datetime.fromtimestamp(said_at, UTC).isoformat(),
            "require_ai_response": True,
            "metadata": {"task_id": "live-001"},
        }
    ]


@pytest.mark.parametrize(
    "at", [0.0, 12_345.6, -1e300, 1e300, float("nan"), float("inf"), 1_795_391_757_310.0]
)
async def test_a_clock_that_cannot_be_right_is_taken_for_now(redis: "Redis", at: float) -> None:
    await file(redis, "a", at=at)
    (item,) = await words(redis, "tom")
    assert abs(datetime.fromisoformat(item["timestamp"]).timestamp() - time.time()) < 60

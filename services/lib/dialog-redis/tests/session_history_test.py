"""What both paths wrote, as everybody reads it, in a real Valkey."""

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.session_history import SessionHistory


def record(turn: int, path: str = "sync") -> TurnRecord:
    return TurnRecord.model_validate(
        {"turn": turn, "user": f"q{turn}", "reply": f"a{turn}", "ts": turn, "path": path}
    )


async def kept(redis: "Redis", *records: TurnRecord) -> None:
    for one in records:
        await redis.zadd(redis_names.history("s"), {one.to_json(): one.turn})


@pytest.fixture
def history(link: RedisClient) -> SessionHistory:
    return SessionHistory(link)


async def test_turns_of_both_paths_come_in_their_order_whoever_wrote_first(
    redis: "Redis", history: SessionHistory
) -> None:
    await kept(redis, record(10), record(2, "legacy"), record(9, "legacy"), record(1))
    assert await history.turns("s") == [
        record(1),
        record(2, "legacy"),
        record(9, "legacy"),
        record(10),
    ]
    assert [one.turn for one in await history.turns("s", after=2)] == [9, 10]


async def test_a_session_that_was_never_used_has_no_turns_and_no_reset(
    redis: "Redis", history: SessionHistory
) -> None:
    assert await history.turns("nobody") == []
    assert await history.reset_after("nobody") == 0
    assert await history.prompt_turns("nobody", 5) == []


async def test_a_prompt_begins_after_the_reset_and_holds_the_last_turns_only(
    redis: "Redis", history: SessionHistory
) -> None:
    await kept(redis, *map(record, range(1, 9)))
    assert [one.turn for one in await history.prompt_turns("s", 3)] == [6, 7, 8]
    await redis.set(redis_names.reset_after("s"), "6")
    assert [one.turn for one in await history.prompt_turns("s", 3)] == [7, 8]
    assert [one.turn for one in await history.prompt_turns("s", 1)] == [8]
    assert await history.prompt_turns("s", 0) == []
    await redis.set(redis_names.reset_after("s"), "8")
    assert await history.prompt_turns("s", 3) == []


async def test_without_redis_it_says_so_instead_of_an_empty_past(no_link: RedisClient) -> None:
    with pytest.raises(RedisUnavailable):
        await SessionHistory(no_link).prompt_turns("s", 3)

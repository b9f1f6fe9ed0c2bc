"""What finished work leaves behind, carried out by a real Valkey."""

from typing import cast

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import MemoryUpdate, TaskResponse
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.store import QueueStore


def record(turn: int, user: str = "q", reply: str = "a") -> TurnRecord:
    return TurnRecord(turn=turn, user=user, reply=reply, ts=1_700_000_000, path="legacy")


async def finished(url: str, redis: "Redis", *all_effects: RedisCommand) -> None:
    """As if a job ended with these."""
    work = QueueStore(url, "test", "one", lease_s=5)
    await redis.lpush(redis_names.processing("test", "one"), "x")
    assert await work.complete("x", all_effects) == []
    await work.aclose()


async def turns(redis: "Redis") -> list[tuple[int, str]]:
    rows = [
        TurnRecord.from_json(str(raw))
        for raw in await redis.zrange(redis_names.history("s"), 0, -1)
    ]
    return [(one.turn, one.reply) for one in rows]


async def test_history_is_in_the_order_of_turns_and_a_later_form_replaces_the_earlier(
    url: str, redis: "Redis"
) -> None:
    await finished(url, redis, *commands.store_turns("s", [record(10), record(2)]))
    await finished(url, redis, *commands.store_turns("s", [record(2, reply="heard in part")]))
    assert await turns(redis) == [(2, "heard in part"), (10, "a")]
    assert 0 < await redis.ttl(redis_names.history("s")) <= redis_names.SESSION_TTL_S


async def test_history_keeps_the_newest_turns_only_also_when_an_old_one_comes_late(
    url: str, redis: "Redis"
) -> None:
    last = redis_names.HISTORY_TURNS + 10
    await finished(
        url, redis, *commands.store_turns("s", [record(turn) for turn in range(2, last + 1)])
    )
    await finished(url, redis, *commands.store_turns("s", [record(1)]))
    assert [turn for turn, _ in await turns(redis)] == list(range(11, last + 1))


async def test_the_list_of_sessions_is_bounded_and_loses_the_one_that_was_silent_longest(
    url: str, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_names, "MAX_SESSIONS", 2)
    for second, session in enumerate(("a", "b", "a", "c"), 1_700_000_000):
        monkeypatch.setattr("time.time", lambda now=second: now)
        made = commands.store_turns(session, [record(1)])
        monkeypatch.undo()
        monkeypatch.setattr(redis_names, "MAX_SESSIONS", 2)
        await finished(url, redis, *made)
    assert await redis.zrange(redis_names.SESSIONS, 0, -1, withscores=True) == [
        ("a", 1_700_000_002),
        ("c", 1_700_000_003),
    ]


def test_no_turns_leave_nothing() -> None:
    assert commands.store_turns("s", []) == []


def updates(made: list[RedisCommand]) -> list[MemoryUpdate]:
    assert {effect[:2] for effect in made} <= {("PUBLISH", redis_names.MEMORY_UPDATES)}
    return [MemoryUpdate.from_json(effect[2]) for effect in made]


def test_older_listeners_are_told_both_halves_under_names_that_do_not_repeat() -> None:
    user, ai = updates(commands.announce_turn(record(3), "live-001"))
    assert (user.message_id, user.source, user.content, user.task_id) == (
        "live-001#3:user",
        "user",
        "q",
        "live-001",
    )
    assert (ai.message_id, ai.source, ai.content, ai.correlation_id) == (
        "live-001#3:ai",
        "ai",
        "a",
        "live-001#3",
    )
    assert user.timestamp == "2023-11-14T22:13:20+00:00"


def test_what_nobody_said_is_not_told() -> None:
    assert [one.source for one in updates(commands.announce_turn(record(1, user=""), "s"))] == [
        "ai"
    ]
    assert [one.source for one in updates(commands.announce_turn(record(1, reply=""), "s"))] == [
        "user"
    ]


async def test_a_sample_can_be_read_back_whole(url: str, redis: "Redis") -> None:
    entry = TurnSample(
        session_id="s",
        turn=3,
        flags=FlagSet(generation=7),
        path="legacy",
        outcome="completed",
        ts=1.5,
    )
    await finished(url, redis, commands.sample_command(entry))
    ((_, fields),) = cast(
        "list[tuple[str, dict[str, str]]]", await redis.xrange(redis_names.TURN_SAMPLES)
    )
    assert (fields["session"], fields["turn"]) == ("s", "3")
    assert TurnSample.from_json(fields["sample"]) == entry


async def test_everything_of_one_job_happens_or_nothing(url: str, redis: "Redis") -> None:
    """Nothing of it where somebody else has the job."""
    work = QueueStore(url, "test", "one", lease_s=5)
    response = TaskResponse(message_id="s#1", task_id="s", text="hi")
    everything = [
        commands.send_response(response),
        commands.push("next", response),
        *commands.store_turns("s", [record(1)]),
    ]
    assert await work.complete("not ours", everything) is None
    assert await redis.keys() == []
    await redis.lpush(redis_names.processing("test", "one"), "ours")
    assert await work.complete("ours", everything) == []
    assert set(await redis.keys()) == {
        redis_names.responses("s"),
        "next",
        redis_names.history("s"),
        redis_names.SESSIONS,
    }
    await work.aclose()


async def test_what_is_no_effect_is_refused_before_anything_happens(
    url: str, redis: "Redis"
) -> None:
    work = QueueStore(url, "test", "one", lease_s=5)
    await redis.lpush(redis_names.processing("test", "one"), "x")
    for wrong in ((commands.SEND_RESPONSE, "only", "four", "parts"), ("SET", "a", 5)):
        with pytest.raises(ValueError, match="not an effect"):
            await work.complete("x", [("SET", "first", "1"), wrong])  # type: ignore[list-item]
    assert await redis.keys() == [redis_names.processing("test", "one")]
    await work.aclose()

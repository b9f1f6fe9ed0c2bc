"""Claims, history and samples in a real Valkey."""

from typing import Any

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import MemoryUpdate, TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.redis_store import ClaimState, EngineStore
from dialog_redis.client import RedisClient
from dialog_redis.session_history import SessionHistory


def record(turn: int) -> TurnRecord:
    return TurnRecord(turn=turn, user=f"q{turn}", reply=f"a{turn}", ts=turn)


async def test_one_path_gets_the_reply_and_keeps_it(link: RedisClient) -> None:
    shelf = EngineStore(link)
    assert await shelf.claim_reply("s#1") is ClaimState.ACQUIRED
    assert await shelf.claim_reply("s#1") is ClaimState.ACQUIRED
    assert 0 < await link.client.ttl(redis_names.reply_claim("s#1")) <= 600
    await link.client.set(redis_names.reply_claim("s#2"), "legacy", nx=True)
    assert await shelf.claim_reply("s#2") is ClaimState.HELD_BY_OTHER


async def test_history_keeps_the_turns_of_both_paths_in_order_and_the_counter_only_rises(
    link: RedisClient,
) -> None:
    shelf = EngineStore(link)
    theirs = record(2).model_copy(update={"path": "legacy"})
    assert await shelf.publish_history("s", [record(1), record(3)])
    await link.client.zadd(redis_names.history("s"), {theirs.to_json(): 2})
    assert await shelf.publish_history(
        "s", [record(3).model_copy(update={"reply": "cut"}), record(4)]
    )
    assert await shelf.turns_since("s", 1) == (
        [theirs, record(3).model_copy(update={"reply": "cut"}), record(4)],
        0,
    )
    assert await link.client.get(redis_names.turn_counter("s")) == "4"
    await link.client.set(redis_names.turn_counter("s"), 9)
    await shelf.publish_history("s", [record(5)])
    assert await link.client.get(redis_names.turn_counter("s")) == "9"
    assert await link.client.zrange(redis_names.SESSIONS, 0, -1) == ["s"]
    assert await link.client.ttl(redis_names.history("s")) > 0


async def test_counters_have_an_end_also_those_that_older_versions_left_without(
    link: RedisClient,
) -> None:
    old, young, used = (redis_names.turn_counter(name) for name in ("old", "young", "used"))
    await link.client.mset({old: 7, used: 9})
    await link.client.set(young, 3, ex=50)
    await EngineStore(link).publish_history("new", [record(1)])
    await EngineStore(link).publish_history("used", [record(1)])
    for name in ("new", "used"):
        assert (
            0 < await link.client.ttl(redis_names.turn_counter(name)) <= redis_names.SESSION_TTL_S
        )
    assert await link.client.ttl(old) == -1
    await EngineStore(link).expire_counters()
    assert 0 < await link.client.ttl(old) <= redis_names.SESSION_TTL_S
    assert 0 < await link.client.ttl(young) <= 50
    assert await link.client.get(old) == "7"


async def test_history_is_bounded_and_the_oldest_goes(link: RedisClient) -> None:
    await EngineStore(link).publish_history("s", [record(turn) for turn in range(1, 61)])
    found = await EngineStore(link).turns_since("s", 0)
    assert found is not None
    assert [turn.turn for turn in found[0]] == list(range(11, 61))


async def test_a_list_of_an_older_version_is_replaced(link: RedisClient) -> None:
    await link.client.rpush(redis_names.history("s"), record(1).to_json())
    assert await EngineStore(link).publish_history("s", [record(1), record(2)])
    assert await EngineStore(link).turns_since("s", 0) == ([record(1), record(2)], 0)


async def test_older_listeners_hear_both_halves_of_a_turn(link: RedisClient) -> None:
    listener = link.client.pubsub()
    await listener.subscribe(redis_names.MEMORY_UPDATES)
    await EngineStore(link).publish_history("s", [record(1)], record(1))
    heard: list[MemoryUpdate] = []
    while len(heard) < 2:
        message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
        if message is not None:
            heard.append(MemoryUpdate.from_json(message["data"]))
    assert [(update.message_id, update.source, update.content) for update in heard] == [
        ("s#1:user", "user", "q1"),
        ("s#1:ai", "ai", "a1"),
    ]
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_a_reset_is_known_to_the_other_path(link: RedisClient) -> None:
    shelf = EngineStore(link)
    await shelf.publish_history("s", [record(1), record(3)])
    await shelf.save_reset("s", 2)
    assert await shelf.turns_since("s", 0) == ([record(1), record(3)], 2)
    assert await SessionHistory(link).prompt_turns("s", 10) == [record(3)]


async def test_a_voice_file_is_asked_for_once(link: RedisClient) -> None:
    request = TtsRequest(
        message_id="s#1", task_id="s", text="hi", response_channel="task_response:s"
    )
    assert await EngineStore(link).enqueue_voice_file(request)
    rows: Any = await link.client.lrange(redis_names.TTS_REQUESTS, 0, -1)
    assert [TtsRequest.from_json(row) for row in rows] == [request]


async def test_each_turn_adds_one_sample(link: RedisClient) -> None:
    sample = TurnSample(
        session_id="s",
        turn=1,
        flags=FlagSet(),
        path="sync",
        outcome="completed",
        ttft_ms=12.5,
        ts=1.0,
    )
    await EngineStore(link).append_sample(sample)
    entries: Any = await link.client.xrange(redis_names.TURN_SAMPLES)
    assert [TurnSample.from_json(fields["sample"]) for _, fields in entries] == [sample]


async def test_without_redis_the_claim_is_unknown_and_what_was_not_written_is_said(
    no_link: RedisClient,
) -> None:
    shelf = EngineStore(no_link)
    assert await shelf.claim_reply("s#1") is ClaimState.UNKNOWN
    assert not await shelf.publish_history("s", [record(1)])
    assert await shelf.turns_since("s", 0) is None
    assert no_link.unavailable_reason is not None

from typing import Any

from dialog_redis.event_streams import scripts

STREAM, DEAD = "events.test", "events.test.dead"


async def test_a_dead_letter_that_is_replayed_is_an_entry_again(redis: Any) -> None:
    fields = {"eventId": "e", "type": "t", "payload": "{}", "reason": "r", "group": "g"}
    whole = await redis.xadd(DEAD, fields)
    cut = await redis.xadd(DEAD, {**fields, "truncated": "1"})
    assert await redis.eval(scripts.REPLAY, 2, DEAD, STREAM, whole, cut, "9-9") == 1
    [(_, entry)] = await redis.xrange(STREAM)
    assert entry == {"eventId": "e", "type": "t", "payload": "{}"}
    assert [name for name, _ in await redis.xrange(DEAD)] == [cut], "it is not whole"


async def test_an_entry_that_another_consumer_acknowledged_is_no_dead_letter(redis: Any) -> None:
    await redis.xgroup_create(STREAM, "g", "0", mkstream=True)
    name = await redis.xadd(STREAM, {"payload": "{}"})
    await redis.xreadgroup("g", "one", {STREAM: ">"})
    await redis.xack(STREAM, "g", name)
    await redis.eval(scripts.DEAD_LETTER, 2, STREAM, DEAD, "g", "10", name, "2", "payload", "{}")
    assert await redis.xlen(DEAD) == 0


async def test_the_dead_are_bounded(redis: Any) -> None:
    await redis.xgroup_create(STREAM, "g", "0", mkstream=True)
    for _ in range(5):
        name = await redis.xadd(STREAM, {"payload": "{}"})
        await redis.xreadgroup("g", "one", {STREAM: ">"})
        await redis.eval(scripts.DEAD_LETTER, 2, STREAM, DEAD, "g", "3", name, "2", "payload", "{}")
    assert await redis.xlen(DEAD) == 3


async def test_attaching_notes_each_process_once(redis: Any) -> None:
    state = "events.test:state"
    first = await redis.eval(scripts.ATTACH, 2, STREAM, state, "g", "created-1", "64")
    again = await redis.eval(scripts.ATTACH, 2, STREAM, state, "g", "created-2", "64")
    assert first == again
    assert first[1] == "created-1"
    assert first[2].count("=") == 1

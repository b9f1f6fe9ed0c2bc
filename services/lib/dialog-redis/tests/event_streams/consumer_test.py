import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_contracts.event_id import event_id
from dialog_contracts.outbox import OutboxEvent
from dialog_redis.event_streams import consumer as consuming
from dialog_redis.event_streams.consumer import EventConsumer
from dialog_redis.event_streams.entry import Applied, EffectUnavailable, Entry, Rejected
from dialog_redis.event_streams.group import GroupStore
from dialog_redis.event_streams.publisher import EventPublisher, EventToPublish

STREAM = redis_names.EVENTS_LTM
DEAD = redis_names.dead_events(STREAM)


def event(number: int) -> OutboxEvent:
    return OutboxEvent.model_validate(
        {
            "eventId": event_id(1_790_000_000_000, number),
            "correlationId": f"a#{number}",
            "sessionId": "a",
            "turn": number,
            "type": "LtmWriteRequested",
            "payload": {"text": "t", "reply": "r", "vectorize": False},
            "ts": 1_790_000_000,
        }
    )


class Effects:
    """What was applied, by turn; it may be unavailable, or fail for some turns."""

    def __init__(self) -> None:
        self.applied: list[int] = []
        self.away = False
        self.fails: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Applied]:
        await self.gate.wait()
        if self.away:
            raise EffectUnavailable("away")
        results = []
        for entry in entries:
            try:
                turn = entry.event().turn
            except Rejected as error:
                results.append(Applied(str(error)))
                continue
            if turn in self.fails:
                raise RuntimeError(f"no turn {turn}")
            if turn not in self.applied:
                self.applied.append(turn)
            results.append(Applied())
        return results


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
async def publish(url: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    publisher = EventPublisher(url)

    async def add(*numbers: int) -> None:
        origin = await publisher.attach(STREAM)
        made = [event(number) for number in numbers]
        await publisher.publish(
            STREAM,
            origin,
            [EventToPublish("a", each.event_id, each.type, each.to_json(), None) for each in made],
        )

    yield add
    await publisher.aclose()


@pytest.fixture
async def start(
    url: str, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., EventConsumer]]:
    monkeypatch.setattr(consuming, "RETRY_FIRST_S", 0.005)
    monkeypatch.setattr(consuming, "UNAVAILABLE_PAUSE_S", 0.01)
    made: list[EventConsumer] = []

    def run(name: str = "one", claim_after_s: float = 30.0) -> EventConsumer:
        consumer = EventConsumer(
            GroupStore(url, STREAM, name), effects.apply, claim_after_s=claim_after_s
        )
        consumer.start()
        made.append(consumer)
        return consumer

    yield run
    for consumer in made:
        await consumer.aclose()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


async def pending(redis: Any) -> int:
    return int((await redis.xpending(STREAM, redis_names.EVENT_GROUPS[STREAM]))["pending"])


async def settled(redis: Any) -> None:
    async with asyncio.timeout(30):
        while await pending(redis):
            await asyncio.sleep(0.005)


async def test_events_from_before_the_first_consumer_are_applied_and_acknowledged(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
) -> None:
    await publish(*range(1, 251))
    start()
    await until(lambda: len(effects.applied) == 250)
    assert effects.applied == list(range(1, 251))
    await settled(redis)


async def test_a_restarted_consumer_applies_first_what_it_had_not_acknowledged(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
    url: str,
) -> None:
    await publish(1, 2)
    dead = GroupStore(url, STREAM, "one")
    await dead.attach()
    assert len(await dead.read_new(10, block=False)) == 2
    await dead.aclose()
    await publish(3)
    start("one")
    await until(lambda: effects.applied == [1, 2, 3])
    await settled(redis)


async def test_entries_of_a_consumer_that_died_are_taken_over(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
    url: str,
) -> None:
    await publish(1, 2)
    dead = GroupStore(url, STREAM, "died")
    await dead.attach()
    await dead.read_new(10, block=False)
    await dead.aclose()
    start("other", claim_after_s=0.3)
    await until(lambda: sorted(effects.applied) == [1, 2])
    await settled(redis)


async def test_a_slow_effect_keeps_its_entries(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
) -> None:
    effects.gate.clear()
    start("slow", claim_after_s=0.4)
    await publish(1)
    async with asyncio.timeout(30):
        while not await pending(redis):
            await asyncio.sleep(0.01)
    start("other", claim_after_s=0.4)
    await asyncio.sleep(1.2)
    group = redis_names.EVENT_GROUPS[STREAM]
    [row] = await redis.xpending_range(STREAM, group, "-", "+", 10)
    # On a machine that stood still the other may have got it, which is no loss.
    assert row["consumer"] in ("slow", "other")
    effects.gate.set()
    await settled(redis)
    assert effects.applied == [1]


async def test_while_the_effect_is_unavailable_no_event_is_given_up(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
) -> None:
    effects.away = True
    consumer = start()
    await publish(1, 2)
    await until(lambda: consumer.unavailable_reason == "away")
    await asyncio.sleep(0.3)
    assert await redis.xlen(DEAD) == 0
    effects.away = False
    await until(lambda: effects.applied == [1, 2])
    assert consumer.unavailable_reason is None


async def test_an_event_that_fails_goes_to_the_dead_and_holds_nothing_back(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
) -> None:
    effects.fails = {2}
    start()
    await publish(*range(1, 6))
    await until(lambda: sorted(effects.applied) == [1, 3, 4, 5])
    await settled(redis)
    [(_, dead)] = await redis.xrange(DEAD)
    assert dead["reason"].startswith("RuntimeError('no turn 2')")
    assert (dead["eventId"], dead["group"]) == (event(2).event_id, "ltm_worker")
    assert OutboxEvent.from_json(dead["payload"]).turn == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("not json", "invalid JSON"),
        ("{}", "eventId"),
        (event(1).to_json().replace("LtmWriteRequested", "Unknown"), "type"),
        (event(1).to_json().replace('"vectorize":false', '"vectorize":[]'), "vectorize"),
        ("x" * 10_000_000, "at most"),
        ("\udcff", "invalid"),
    ],
    ids=["bad-json", "empty", "unknown-type", "wrong-schema", "10-mb", "no-utf-8"],
)
async def test_what_is_no_event_goes_to_the_dead_at_once_with_its_reason(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
    payload: str,
    reason: str,
) -> None:
    start()
    await redis.xadd(STREAM, {"payload": payload.encode("utf-8", "surrogateescape")})
    await publish(7)
    await until(lambda: effects.applied == [7])
    async with asyncio.timeout(30):
        while not await redis.xlen(DEAD):
            await asyncio.sleep(0.01)
    rows = await redis.xrange(DEAD) if "\udcff" not in payload else []
    if rows:
        assert reason.lower() in rows[0][1]["reason"].lower()
        assert len(rows[0][1]["payload"]) <= 256 * 1024
    await settled(redis)


async def test_a_broken_deployment_does_not_empty_the_queue_into_the_grave(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consuming, "GUARD_PAUSE_S", 0.05)
    monkeypatch.setattr(consuming, "RETRY_MAX_S", 0.01)
    effects.fails = set(range(1, 301))
    consumer = start()
    await publish(*range(1, 301))
    await until(lambda: "no event is given up" in (consumer.unavailable_reason or ""))
    dead = await redis.xlen(DEAD)
    assert dead < consuming.GUARD_MIN
    effects.fails = set()
    await until(lambda: len(effects.applied) == 300 - dead)
    await settled(redis)
    assert await redis.xlen(DEAD) == dead
    assert consumer.unavailable_reason is None


async def test_a_stream_that_was_deleted_is_created_again(
    publish: Callable[..., Awaitable[None]],
    start: Callable[..., EventConsumer],
    effects: Effects,
    redis: Any,
) -> None:
    start()
    await publish(1)
    await until(lambda: effects.applied == [1])
    await redis.delete(STREAM)
    await publish(2)
    await until(lambda: effects.applied == [1, 2])

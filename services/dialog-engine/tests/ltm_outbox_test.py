import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.event_simulation.streams import InMemoryPublisher, InMemoryRedis

from dialog_contracts.outbox import MAX_EVENT_BYTES
from dialog_engine import ltm_outbox
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory, database
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.stored_turn import StoredTurn
from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.publisher import EventToPublish, Published, StreamOrigin
from dialog_sqlite.database import Database

LTM, ANALYTICS = "events.ltm", "events.analytics"


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    opened = database(tmp_path / "engine.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def memory(file: Database, clock: Clock) -> ShortTermMemory:
    return ShortTermMemory(file, clock=clock)


@pytest.fixture
def store(file: Database) -> OutboxStore:
    return OutboxStore(file)


@pytest.fixture
def redis(clock: Clock) -> InMemoryRedis:
    return InMemoryRedis(clock)


@pytest.fixture
def relay(store: OutboxStore, redis: InMemoryRedis, clock: Clock) -> OutboxRelay:
    return OutboxRelay(store, InMemoryPublisher(redis), clock=clock, jitter=lambda low, high: high)


def turn(number: int, session: str = "live-001", reply: str = "answer") -> StoredTurn:
    return StoredTurn(session, number, f"question {number}", reply, 1_790_000_000, events=True)


def streamed(redis: InMemoryRedis, stream: str = LTM) -> list[str]:
    found = redis.streams.get(stream)
    return [] if found is None else [fields["payload"] for fields in found.entries.values()]


async def settle(relay: OutboxRelay) -> None:
    while await relay.step():
        continue


async def test_what_a_commit_stored_is_delivered_in_its_order(
    memory: ShortTermMemory, relay: OutboxRelay, redis: InMemoryRedis, store: OutboxStore
) -> None:
    for number in range(1, 6):
        await memory.commit(turn(number))
    assert (await store.backlog()).waiting == 10
    await settle(relay)
    assert [
        f'"question {number}"' in payload for number, payload in enumerate(streamed(redis), 1)
    ] == [True] * 5
    assert len(streamed(redis, ANALYTICS)) == 5
    assert (await store.backlog()).waiting == 0


async def test_a_turn_without_the_flag_and_one_stored_twice_add_nothing(
    memory: ShortTermMemory, store: OutboxStore
) -> None:
    await memory.commit(replace(turn(1), events=False))
    assert (await store.backlog()).waiting == 0
    await memory.commit(turn(2))
    await memory.commit(turn(2))
    assert (await store.backlog()).waiting == 2


async def test_while_redis_is_away_everything_waits_and_a_new_relay_delivers_it(
    memory: ShortTermMemory, relay: OutboxRelay, redis: InMemoryRedis, store: OutboxStore
) -> None:
    redis.up = False
    await memory.commit(turn(1))
    with pytest.raises(RedisUnavailable):
        await relay.step()
    assert (await store.backlog()).waiting == 2
    redis.up = True
    await settle(OutboxRelay(store, InMemoryPublisher(redis)))
    assert len(streamed(redis)) == 1


async def test_a_poisoned_event_holds_back_its_session_alone_and_is_parked(
    memory: ShortTermMemory,
    relay: OutboxRelay,
    redis: InMemoryRedis,
    store: OutboxStore,
    clock: Clock,
) -> None:
    await memory.commit(turn(1, "a", reply="poison"))
    await memory.commit(turn(2, "a"))
    await memory.commit(turn(1, "b"))
    await settle(relay)
    assert [('"a"' in payload, '"b"' in payload) for payload in streamed(redis)] == [(False, True)]
    for _ in range(ltm_outbox.ATTEMPTS_MAX):
        clock.now += 120
        await settle(relay)
    backlog = await store.backlog()
    assert (backlog.waiting, backlog.parked) == (0, 1)
    assert len(streamed(redis)) == 2, "what came after it is delivered"
    [parked] = await store.parked(10)
    assert (parked.stream, parked.reason) == (LTM, "poison")
    assert await store.replay_parked(["unknown"]) == 0
    assert await store.replay_parked([parked.event_id]) == 1
    assert (await store.backlog()).waiting == 1


async def test_an_event_that_is_too_large_is_parked_at_once(
    memory: ShortTermMemory, relay: OutboxRelay, redis: InMemoryRedis, store: OutboxStore
) -> None:
    await memory.commit(turn(1, reply="x" * (MAX_EVENT_BYTES - 10)))
    await memory.commit(turn(2))
    await settle(relay)
    assert len(streamed(redis)) == 1
    [parked] = await store.parked(10)
    assert "more than" in parked.reason


async def test_a_clock_that_is_set_back_delays_nothing_for_long(
    memory: ShortTermMemory,
    relay: OutboxRelay,
    redis: InMemoryRedis,
    store: OutboxStore,
    clock: Clock,
) -> None:
    await memory.commit(turn(1, reply="poison"))
    await settle(relay)
    clock.now -= 3_600
    before = (await store.backlog()).waiting
    assert before == 1
    assert await relay.step() == 1, "its next attempt is an hour ahead, which no pause is"


async def test_a_lost_answer_delivers_twice_and_never_loses(
    memory: ShortTermMemory, relay: OutboxRelay, redis: InMemoryRedis, store: OutboxStore
) -> None:
    await memory.commit(turn(1))
    redis.fail_after = 2
    with pytest.raises(RedisUnavailable):
        await relay.step()
    await settle(relay)
    assert len(streamed(redis)) in (1, 2)
    assert len(set(streamed(redis))) == 1
    assert (await store.backlog()).waiting == 0


@pytest.mark.parametrize("other_engine_first", [False, True])
async def test_what_redis_lost_is_sent_again_and_nothing_else(
    memory: ShortTermMemory,
    relay: OutboxRelay,
    redis: InMemoryRedis,
    store: OutboxStore,
    clock: Clock,
    other_engine_first: bool,
) -> None:
    for number in range(1, 4):
        await memory.commit(turn(number))
    await settle(relay)
    redis.save()
    clock.now += 1
    for number in range(4, 7):
        await memory.commit(turn(number))
    await settle(relay)
    redis.restart(0)
    assert len(streamed(redis)) == 3
    clock.now += 60
    if other_engine_first:
        origin = redis.attach(LTM)
        redis.publish(LTM, origin, [EventToPublish("z", "z-1", "t", '"question z"', None)])
    assert await relay.check_streams((LTM, ANALYTICS)) == 6
    await settle(relay)
    told = [payload for payload in streamed(redis) if "question z" not in payload]
    assert [sum(f'"question {number}"' in each for each in told) for number in range(1, 7)] == [
        1
    ] * 6


async def test_a_stream_that_was_deleted_is_filled_again(
    memory: ShortTermMemory, relay: OutboxRelay, redis: InMemoryRedis
) -> None:
    await memory.commit(turn(1))
    await settle(relay)
    redis.streams.clear()
    await memory.commit(turn(2))
    for _ in range(3):
        await settle(relay)
    assert len(streamed(redis)) == 2


async def test_delivered_rows_are_purged_and_parked_ones_stay(
    memory: ShortTermMemory, relay: OutboxRelay, store: OutboxStore, clock: Clock
) -> None:
    await memory.commit(turn(1))
    await memory.commit(turn(2, "a", reply="poison"))
    for _ in range(ltm_outbox.ATTEMPTS_MAX):
        await settle(relay)
        clock.now += 120
    now_ms = int(clock.now * 1000)
    assert await store.purge(now_ms - 86_400_000, 100) == 0
    assert await store.purge(now_ms + 1, 100) == 3
    assert (await store.backlog()).parked == 1


async def test_a_commit_wakes_it_and_an_error_of_redis_only_pauses_it(
    memory: ShortTermMemory,
    store: OutboxStore,
    redis: InMemoryRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ltm_outbox, "POLL_S", 60)
    relay = OutboxRelay(store, InMemoryPublisher(redis))
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.05)
    await memory.commit(turn(1))
    relay.wake()
    async with asyncio.timeout(20):
        while not streamed(redis, ANALYTICS):
            await asyncio.sleep(0.005)
        redis.up = False
        await memory.commit(turn(2))
        relay.wake()
        while relay.problem is None:
            await asyncio.sleep(0.005)
        assert relay.backlog.waiting == 2
        redis.up = True
        while relay.problem is not None or relay.backlog.waiting:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(streamed(redis)) == 2


class Silent:
    async def attach(self, stream: str) -> StreamOrigin:
        raise RedisUnavailable("events", "down")

    async def publish(
        self, stream: str, origin: StreamOrigin, events: Sequence[EventToPublish]
    ) -> list[Published]:
        raise RedisUnavailable("events", "down")


async def test_a_drain_delivers_all_and_gives_up_without_redis(
    memory: ShortTermMemory,
    relay: OutboxRelay,
    store: OutboxStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ltm_outbox, "UNAVAILABLE_FIRST_S", 0.001)
    for number in range(1, 300):
        await memory.commit(turn(number))
    assert await OutboxRelay(store, Silent()).drain(60) == 598
    assert await relay.drain(60) == 0

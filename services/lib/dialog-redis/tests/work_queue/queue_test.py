"""Work that is neither lost nor done twice, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_redis.work_queue import queue, store
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_redis.work_queue.queue import WorkQueue

LIST = "user_input_queue"
Handle = Callable[[Job], Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RENEW_INTERVAL_S", 0.05)
    monkeypatch.setattr(queue, "RETRY_PAUSE_S", 0.02)
    monkeypatch.setattr(store, "BLOCK_S", 0.1)


@asynccontextmanager
async def working(
    url: str,
    handle: Handle,
    consumer: str = "one",
    given_up: Sequence[RedisCommand] = (),
    **options: Any,
) -> AsyncIterator[WorkQueue]:
    made = WorkQueue(url, LIST, consumer, **options)
    made.start(handle, lambda _: given_up)
    try:
        yield made
    finally:
        await made.aclose()


async def crash(consumer: WorkQueue) -> None:
    """It ends without a word: its lease runs out, its processing list stays."""
    await pause(consumer)
    await consumer._cancel_running_jobs()
    await consumer._store.aclose()


async def pause(consumer: WorkQueue) -> None:
    """It neither fetches nor renews, as a process that is stopped."""
    async with consumer._fetching, consumer._reclaimer:
        await consumer._feeding.close()


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Doer:
    """Finishes what it is given, and remembers it."""

    def __init__(self, *effects_of_all: RedisCommand, pause_s: float = 0) -> None:
        self.seen: list[str] = []
        self.done: list[str] = []
        self._effects, self._pause_s = effects_of_all, pause_s

    async def __call__(self, job: Job) -> None:
        self.seen.append(job.raw)
        await asyncio.sleep(self._pause_s)
        if await job.complete(*self._effects):
            self.done.append(job.raw)


class Stuck:
    """Takes a message and never ends with it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, job: Job) -> None:
        self.seen.append(job.raw)
        await asyncio.sleep(3600)


async def test_messages_are_worked_on_oldest_first_and_leave_nothing_behind(
    url: str, redis: "Redis"
) -> None:
    await redis.lpush(LIST, "a", "b", "c")
    doer = Doer()
    async with working(url, doer, at_once=1):
        await until(lambda: doer.done == ["a", "b", "c"])
    assert await redis.keys() == []


async def test_replicas_share_the_work(url: str, redis: "Redis") -> None:
    first, second = Doer(pause_s=0.01), Doer(pause_s=0.01)
    async with working(url, first, "one", at_once=1), working(url, second, "two", at_once=1):
        await redis.lpush(LIST, *(str(number) for number in range(40)))
        await until(lambda: len(first.done) + len(second.done) == 40)
    assert sorted(map(int, first.done + second.done)) == list(range(40))
    assert first.done
    assert second.done


async def test_not_more_than_so_many_at_once(url: str, redis: "Redis") -> None:
    await redis.lpush(LIST, *(str(number) for number in range(5)))
    stuck = Stuck()
    async with working(url, stuck, at_once=2) as work:
        await until(lambda: len(stuck.seen) == 2)
        await asyncio.sleep(0.05)
        assert (len(stuck.seen), work.running) == (2, 2)
        await asyncio.wait_for(crash(work), 5)


async def test_what_a_dead_consumer_held_is_done_by_another_oldest_first(
    url: str, redis: "Redis"
) -> None:
    stuck, doer = Stuck(), Doer()
    dead = WorkQueue(url, LIST, "dead", lease_s=0.2)
    dead.start(stuck, lambda _: ())
    await redis.lpush(LIST, "a", "b")
    await until(lambda: len(stuck.seen) == 2)
    await crash(dead)
    await redis.lpush(LIST, "c")
    async with working(url, doer, "alive", at_once=1, lease_s=0.2):
        await until(lambda: len(doer.done) == 3)
    # "c" may have been taken before the lease ran out; of the two that came back the older is
    # first.
    assert [raw for raw in doer.done if raw != "c"] == ["a", "b"]
    assert await redis.keys() == []


async def test_a_consumer_that_comes_back_under_its_name_goes_on_at_once(
    url: str, redis: "Redis"
) -> None:
    stuck, doer = Stuck(), Doer()
    dead = WorkQueue(url, LIST, "same", lease_s=60)
    dead.start(stuck, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: stuck.seen)
    await crash(dead)
    async with working(url, doer, "same", lease_s=60):
        await until(lambda: doer.done == ["a"], 1)


async def test_one_that_only_slept_finds_its_work_taken_and_nothing_of_its_result_happens(
    url: str, redis: "Redis"
) -> None:
    told: list[bool] = []
    awake = asyncio.Event()

    async def sleeper(job: Job) -> None:
        await awake.wait()
        told.append(await job.complete(("SET", "by", "the sleeper")))

    slept = WorkQueue(url, LIST, "sleeper", lease_s=0.1)
    slept.start(sleeper, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: slept.running)
    await pause(slept)
    doer = Doer(("SET", "by", "another"))
    async with working(url, doer, "another", lease_s=5):
        await until(lambda: doer.done == ["a"])
        awake.set()
        await until(lambda: told)
    assert told == [False]
    assert await redis.get("by") == "another"
    await slept.aclose()


async def test_a_message_that_nobody_survives_is_given_up_with_a_word(
    url: str, redis: "Redis"
) -> None:
    tried: list[int] = []

    async def breaks(job: Job) -> None:
        tried.append(job.attempts)
        raise ValueError("cannot")

    async with working(url, breaks, given_up=[("SET", "sorry", "1")], attempts_max=2):
        await redis.lpush(LIST, "poison")
        await until(lambda: len(tried) == 3)
        async with asyncio.timeout(5):
            while await redis.get("sorry") is None:
                await asyncio.sleep(0.01)
    assert tried == [0, 1, 2]
    assert await redis.lrange(redis_names.dead_letter(LIST), 0, -1) == ["poison"]
    assert (
        await redis.exists(redis_names.attempts(LIST), LIST, redis_names.processing(LIST, "one"))
        == 0
    )


async def test_one_that_cannot_even_be_given_up_goes_all_the_same(url: str, redis: "Redis") -> None:
    async def breaks(job: Job) -> None:
        raise ValueError("cannot")

    def breaks_too(raw: str) -> Sequence[RedisCommand]:
        raise ValueError("neither")

    work = WorkQueue(url, LIST, "one", attempts_max=0)
    work.start(breaks, breaks_too)
    await redis.lpush(LIST, "poison")
    async with asyncio.timeout(5):
        while await redis.lrange(redis_names.dead_letter(LIST), 0, -1) != ["poison"]:
            await asyncio.sleep(0.01)
    await work.aclose()


async def test_a_message_whose_fetch_was_lost_on_the_way_is_found_again(
    url: str, redis: "Redis"
) -> None:
    doer = Doer()
    async with working(url, doer):
        await until(lambda: True)
        # As if BLMOVE had been carried out after its caller had given up waiting for it.
        await redis.lpush(redis_names.processing(LIST, "one"), "stray")
        await until(lambda: doer.done == ["stray"])


async def test_the_same_words_twice_are_two_messages(url: str, redis: "Redis") -> None:
    doer = Doer(("INCR", "done"), pause_s=0.3)
    async with working(url, doer):
        await redis.lpush(LIST, "hello", "hello")
        await until(lambda: len(doer.done) == 2)
        await asyncio.sleep(0.2)
    assert (await redis.get("done"), len(doer.seen)) == ("2", 2)


async def test_who_takes_work_is_missed_when_it_dies(url: str, redis: "Redis") -> None:
    stuck = Stuck()
    async with working(url, stuck, "one", close_within_s=0) as work:
        await redis.lpush(LIST, "a", "b", "c", "d", "e")
        await until(lambda: stuck.seen)
        assert await redis.zscore(redis_names.consumers(LIST), "one") is not None
        await until(lambda: work.waiting == 1)


async def test_what_is_not_an_effect_is_refused_before_anything_happens(
    url: str, redis: "Redis"
) -> None:
    refused: list[str] = []

    async def handle(job: Job) -> None:
        try:
            await job.complete(("SET", "half", "1"), ("SUBMIT", "too", "short"))
        except ValueError as error:
            refused.append(str(error))
            await job.complete()

    async with working(url, handle):
        await redis.lpush(LIST, "a")
        await until(lambda: refused)
    assert await redis.get("half") is None


async def test_one_that_cannot_be_read_is_buried_and_the_rest_goes_on(
    url: str, redis: "Redis"
) -> None:
    read: list[str] = []

    async def reader(job: Job) -> None:
        try:
            read.append(job.read(UserInput).content)
        except ValueError as error:
            await job.dead_letter(str(error))
        else:
            await job.complete()

    good = UserInput(task_id="live-001", content="hello")
    async with working(url, reader, at_once=1):
        await redis.lpush(LIST, b"\xff\xfe", "[]", "{", '{"task_id": "../../etc"}', good.to_json())
        await until(lambda: read == ["hello"])
    raw: Redis = Redis.from_url(url)
    assert await raw.llen(redis_names.dead_letter(LIST)) == 4
    assert b"\xff\xfe" in await raw.lrange(redis_names.dead_letter(LIST), 0, -1), (
        "as it came, for a person to look at"
    )
    await raw.aclose()


async def test_redis_may_go_and_come_back_and_finished_work_is_not_done_again(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    doer, going = Doer(), asyncio.Event()

    async def handle(job: Job) -> None:
        doer.seen.append(job.raw)
        await going.wait()
        if await job.complete(("RPUSH", "done", job.raw)):
            doer.done.append(job.raw)

    async with working(store.url, handle) as work:
        with store:
            async with Redis.from_url(store.url) as redis:
                await redis.lpush(LIST, "a")
            await until(lambda: doer.seen)
        going.set()
        await until(lambda: work.unavailable_reason)
        await asyncio.sleep(0.1)
        with store:
            await until(lambda: doer.done == ["a"])
            async with Redis.from_url(store.url, decode_responses=True) as redis:
                await redis.lpush(LIST, "b")
                await until(lambda: doer.done == ["a", "b"])
                assert doer.seen == ["a", "b"]
                assert await redis.lrange("done", 0, -1) == ["a", "b"]
            await work.aclose()


async def test_closing_lets_running_work_end_and_puts_the_rest_back(
    url: str, redis: "Redis"
) -> None:
    done: list[str] = []

    async def handle(job: Job) -> None:
        await asyncio.sleep(0.1 if job.raw == "quick" else 3600)
        if await job.complete():
            done.append(job.raw)

    work = WorkQueue(url, LIST, "one", close_within_s=0.3)
    work.start(handle, lambda _: ())
    await redis.lpush(LIST, "slow", "quick")
    await until(lambda: work.running == 2)
    await work.aclose()
    assert done == ["quick"]
    assert await redis.lrange(LIST, 0, -1) == ["slow"]
    assert await redis.exists(redis_names.attempts(LIST), redis_names.consumers(LIST)) == 0, (
        "an orderly end is no attempt"
    )


async def test_a_job_that_swallows_its_end_is_ended_all_the_same(
    url: str, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "DEADLINE_CHECK_S", 0.05)

    async def handle(job: Job) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    work = WorkQueue(url, LIST, "one", close_within_s=0)
    work.start(handle, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: work.running)
    async with asyncio.timeout(5):
        await work.aclose()
    assert await redis.lrange(LIST, 0, -1) == ["a"]

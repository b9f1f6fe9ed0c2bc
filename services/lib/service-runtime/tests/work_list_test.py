"""Work that is neither lost nor done twice, on a real Valkey."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from service_runtime import effects, work_list
from service_runtime.effects import Effect
from service_runtime.work_list import Job, WorkList
from vtuber_cli import ports, valkey

LIST = "user_input_queue"
Handle = Callable[[Job], Any]


class Server:
    """A Valkey that can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, ports.free()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(valkey.command(self._folder, self.port), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not ports.busy(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=5)
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("valkey"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def redis(server: Server) -> AsyncIterator["Redis"]:
    client: Redis = Redis.from_url(server.url, decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_list, "RENEW_EVERY_S", 0.05)
    monkeypatch.setattr(work_list, "AGAIN_AFTER_S", 0.02)
    monkeypatch.setattr(work_list, "BLOCK_S", 0.1)


@asynccontextmanager
async def working(
    server: Server, handle: Handle, consumer: str = "one", given_up: Sequence[Effect] = (), **options: Any
) -> AsyncIterator[WorkList]:
    made = WorkList(server.url, LIST, consumer, **options)
    made.start(handle, lambda _: given_up)
    try:
        yield made
    finally:
        await made.aclose()


async def crash(consumer: WorkList) -> None:
    """It ends without a word: its lease runs out, its processing list stays."""
    await pause(consumer)
    await consumer._cut_off()
    await consumer._redis.aclose()


async def pause(consumer: WorkList) -> None:
    """It neither fetches nor renews, as a process that is stopped."""
    async with consumer._fetching, consumer._looking:
        await consumer._feeding.close()


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Doer:
    """Finishes what it is given, and remembers it."""

    def __init__(self, *effects_of_all: Effect, pause_s: float = 0) -> None:
        self.seen: list[str] = []
        self.done: list[str] = []
        self._effects, self._pause_s = effects_of_all, pause_s

    async def __call__(self, job: Job) -> None:
        self.seen.append(job.raw)
        await asyncio.sleep(self._pause_s)
        if await job.done(*self._effects):
            self.done.append(job.raw)


class Stuck:
    """Takes a message and never ends with it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, job: Job) -> None:
        self.seen.append(job.raw)
        await asyncio.sleep(3600)


async def test_messages_are_worked_on_oldest_first_and_leave_nothing_behind(server: Server, redis: "Redis") -> None:
    await redis.lpush(LIST, "a", "b", "c")
    doer = Doer()
    async with working(server, doer, at_once=1):
        await until(lambda: doer.done == ["a", "b", "c"])
    assert await redis.keys() == []


async def test_replicas_share_the_work(server: Server, redis: "Redis") -> None:
    first, second = Doer(pause_s=0.01), Doer(pause_s=0.01)
    async with working(server, first, "one", at_once=1), working(server, second, "two", at_once=1):
        await redis.lpush(LIST, *(str(number) for number in range(40)))
        await until(lambda: len(first.done) + len(second.done) == 40)
    assert sorted(map(int, first.done + second.done)) == list(range(40))
    assert first.done
    assert second.done


async def test_not_more_than_so_many_at_once(server: Server, redis: "Redis") -> None:
    await redis.lpush(LIST, *(str(number) for number in range(5)))
    stuck = Stuck()
    async with working(server, stuck, at_once=2) as work:
        await until(lambda: len(stuck.seen) == 2)
        await asyncio.sleep(0.05)
        assert (len(stuck.seen), work.running) == (2, 2)
        await asyncio.wait_for(crash(work), 5)


async def test_what_a_dead_consumer_held_is_done_by_another_oldest_first(server: Server, redis: "Redis") -> None:
    stuck, doer = Stuck(), Doer()
    dead = WorkList(server.url, LIST, "dead", lease_s=0.2)
    dead.start(stuck, lambda _: ())
    await redis.lpush(LIST, "a", "b")
    await until(lambda: len(stuck.seen) == 2)
    await crash(dead)
    await redis.lpush(LIST, "c")
    async with working(server, doer, "alive", at_once=1, lease_s=0.2):
        await until(lambda: len(doer.done) == 3)
    # "c" may have been taken before the lease ran out; of the two that came back the older is first.
    assert [raw for raw in doer.done if raw != "c"] == ["a", "b"]
    assert await redis.keys() == []


async def test_a_consumer_that_comes_back_under_its_name_goes_on_at_once(server: Server, redis: "Redis") -> None:
    stuck, doer = Stuck(), Doer()
    dead = WorkList(server.url, LIST, "same", lease_s=60)
    dead.start(stuck, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: stuck.seen)
    await crash(dead)
    async with working(server, doer, "same", lease_s=60):
        await until(lambda: doer.done == ["a"], 1)


async def test_one_that_only_slept_finds_its_work_taken_and_nothing_of_its_result_happens(
    server: Server, redis: "Redis"
) -> None:
    told: list[bool] = []
    awake = asyncio.Event()

    async def sleeper(job: Job) -> None:
        await awake.wait()
        told.append(await job.done(("SET", "by", "the sleeper")))

    slept = WorkList(server.url, LIST, "sleeper", lease_s=0.1)
    slept.start(sleeper, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: slept.running)
    await pause(slept)
    doer = Doer(("SET", "by", "another"))
    async with working(server, doer, "another", lease_s=5):
        await until(lambda: doer.done == ["a"])
        awake.set()
        await until(lambda: told)
    assert told == [False]
    assert await redis.get("by") == "another"
    await slept.aclose()


async def test_a_message_that_nobody_survives_is_given_up_with_a_word(server: Server, redis: "Redis") -> None:
    tried: list[int] = []

    async def breaks(job: Job) -> None:
        tried.append(job.attempts)
        raise ValueError("cannot")

    async with working(server, breaks, given_up=[("SET", "sorry", "1")], attempts_max=2):
        await redis.lpush(LIST, "poison")
        await until(lambda: len(tried) == 3)
        async with asyncio.timeout(5):
            while await redis.get("sorry") is None:
                await asyncio.sleep(0.01)
    assert tried == [0, 1, 2]
    assert await redis.lrange(redis_names.dead(LIST), 0, -1) == ["poison"]
    assert await redis.exists(redis_names.attempts(LIST), LIST, redis_names.processing(LIST, "one")) == 0


async def test_one_that_cannot_even_be_given_up_goes_all_the_same(server: Server, redis: "Redis") -> None:
    async def breaks(job: Job) -> None:
        raise ValueError("cannot")

    def breaks_too(raw: str) -> Sequence[Effect]:
        raise ValueError("neither")

    work = WorkList(server.url, LIST, "one", attempts_max=0)
    work.start(breaks, breaks_too)
    await redis.lpush(LIST, "poison")
    async with asyncio.timeout(5):
        while await redis.lrange(redis_names.dead(LIST), 0, -1) != ["poison"]:
            await asyncio.sleep(0.01)
    await work.aclose()


async def test_a_message_whose_fetch_was_lost_on_the_way_is_found_again(server: Server, redis: "Redis") -> None:
    doer = Doer()
    async with working(server, doer):
        await until(lambda: True)
        # As if BLMOVE had been carried out after its caller had given up waiting for it.
        await redis.lpush(redis_names.processing(LIST, "one"), "stray")
        await until(lambda: doer.done == ["stray"])


async def test_the_same_words_twice_are_two_messages(server: Server, redis: "Redis") -> None:
    doer = Doer(("INCR", "done"), pause_s=0.3)
    async with working(server, doer):
        await redis.lpush(LIST, "hello", "hello")
        await until(lambda: len(doer.done) == 2)
        await asyncio.sleep(0.2)
    assert (await redis.get("done"), len(doer.seen)) == ("2", 2)


async def test_who_takes_work_is_missed_when_it_dies(server: Server, redis: "Redis") -> None:
    stuck = Stuck()
    async with working(server, stuck, "one", close_within_s=0) as work:
        await redis.lpush(LIST, "a", "b", "c", "d", "e")
        await until(lambda: stuck.seen)
        assert await redis.zscore(redis_names.consumers(LIST), "one") is not None
        await until(lambda: work.waiting == 1)


async def test_what_is_not_an_effect_is_refused_before_anything_happens(server: Server, redis: "Redis") -> None:
    refused: list[str] = []

    async def handle(job: Job) -> None:
        try:
            await job.done(("SET", "half", "1"), ("SUBMIT", "too", "short"))
        except ValueError as error:
            refused.append(str(error))
            await job.done()

    async with working(server, handle):
        await redis.lpush(LIST, "a")
        await until(lambda: refused)
    assert await redis.get("half") is None


async def test_one_that_cannot_be_read_is_buried_and_the_rest_goes_on(server: Server, redis: "Redis") -> None:
    read: list[str] = []

    async def reader(job: Job) -> None:
        try:
            read.append(job.read(UserInput).content)
        except ValueError as error:
            await job.bury(str(error))
        else:
            await job.done()

    good = UserInput(task_id="live-001", content="hello")
    async with working(server, reader, at_once=1):
        await redis.lpush(LIST, b"\xff\xfe", "[]", "{", '{"task_id": "../../etc"}', good.to_json())
        await until(lambda: read == ["hello"])
    raw: Redis = Redis.from_url(server.url)
    assert await raw.llen(redis_names.dead(LIST)) == 4
    assert b"\xff\xfe" in await raw.lrange(redis_names.dead(LIST), 0, -1), "as it came, for a person to look at"
    await raw.aclose()


async def test_redis_may_go_and_come_back_and_finished_work_is_not_done_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = Server(tmp_path)
    request.addfinalizer(server.stop)
    server.start()
    doer, going = Doer(("SET", "done", "1")), asyncio.Event()

    async def handle(job: Job) -> None:
        doer.seen.append(job.raw)
        await going.wait()
        if await job.done(("RPUSH", "done", job.raw)):
            doer.done.append(job.raw)

    async with working(server, handle) as work:
        async with Redis.from_url(server.url) as redis:
            await redis.lpush(LIST, "a")
        await until(lambda: doer.seen)
        server.stop()
        going.set()
        await until(lambda: work.down_because)
        await asyncio.sleep(0.1)
        server.start()
        await until(lambda: doer.done == ["a"])
        async with Redis.from_url(server.url, decode_responses=True) as redis:
            await redis.lpush(LIST, "b")
            await until(lambda: doer.done == ["a", "b"])
            assert doer.seen == ["a", "b"]
            assert await redis.lrange("done", 0, -1) == ["a", "b"]


async def test_closing_lets_running_work_end_and_puts_the_rest_back(server: Server, redis: "Redis") -> None:
    done: list[str] = []

    async def handle(job: Job) -> None:
        await asyncio.sleep(0.1 if job.raw == "quick" else 3600)
        if await job.done():
            done.append(job.raw)

    work = WorkList(server.url, LIST, "one", close_within_s=0.3)
    work.start(handle, lambda _: ())
    await redis.lpush(LIST, "slow", "quick")
    await until(lambda: work.running == 2)
    await work.aclose()
    assert done == ["quick"]
    assert await redis.lrange(LIST, 0, -1) == ["slow"]
    assert await redis.exists(redis_names.attempts(LIST), redis_names.consumers(LIST)) == 0, "an orderly end is no attempt"


def chat(session: str, turn: int) -> UserInput:
    return UserInput(task_id=session, content=f"{turn}", meta=ChainMeta(session_id=session, turn=turn))


async def finished(server: Server, redis: "Redis", *all_effects: Effect) -> None:
    """As if a job ended with these."""
    work = WorkList(server.url, LIST, "direct")
    await redis.lpush(redis_names.processing(LIST, "direct"), "x")
    assert await work._finish("x", all_effects)
    await work._redis.aclose()


async def test_a_job_that_swallows_its_end_is_ended_all_the_same(
    server: Server, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_list, "CUT_OFF_AGAIN_S", 0.05)

    async def handle(job: Job) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    work = WorkList(server.url, LIST, "one", close_within_s=0)
    work.start(handle, lambda _: ())
    await redis.lpush(LIST, "a")
    await until(lambda: work.running)
    async with asyncio.timeout(5):
        await work.aclose()
    assert await redis.lrange(LIST, 0, -1) == ["a"]


async def test_of_a_session_only_the_first_turn_is_in_the_chain(server: Server, redis: "Redis") -> None:
    out = redis_names.CHAT_REQUESTS
    for turn in (1, 2, 3):
        await finished(server, redis, effects.submit("s", f"s#{turn}", out, chat("s", turn)))
    await finished(server, redis, effects.submit("other", "other#1", out, chat("other", 1)))
    assert await taken(redis, out) == ["s#1", "other#1"]
    await finished(server, redis, effects.advance("s", "s#2", out))
    assert await taken(redis, out) == [], "it is not the turn of the second yet"
    await finished(server, redis, effects.advance("s", "s#1", out))
    assert await taken(redis, out) == ["s#2"]
    await finished(server, redis, effects.advance("s", "s#1", out))
    assert await taken(redis, out) == [], "an answer that comes twice moves nothing"
    await finished(server, redis, effects.advance("s", "s#2", out))
    await finished(server, redis, effects.advance("s", "s#3", out))
    assert await taken(redis, out) == ["s#3"]
    assert await redis.exists(redis_names.backlog("s")) == 0
    assert 0 < await redis.ttl(redis_names.backlog("other")) <= redis_names.REPLY_CLAIM_TTL_S


async def taken(redis: "Redis", name: str) -> list[str]:
    found = []
    while (raw := await redis.rpop(name)) is not None:
        message = UserInput.from_json(str(raw))
        found.append(f"{message.task_id}#{message.meta.turn}")
    return found


async def test_the_first_answer_to_a_turn_stands_and_is_announced_once(server: Server, redis: "Redis") -> None:
    listener = redis.pubsub()
    await listener.subscribe(redis_names.task_response("s"))
    for text in ("first", "second"):
        await finished(server, redis, effects.answer(TaskResponse(message_id="s#1", task_id="s", text=text)))
    (kept,) = await redis.hvals(redis_names.answers("s"))
    assert TaskResponse.from_json(kept).text == "first"
    assert 0 < await redis.ttl(redis_names.answers("s")) <= redis_names.ANSWER_TTL_S
    heard: list[str] = []
    while (message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.3)) is not None or len(heard) < 1:
        if message is not None:
            heard.append(TaskResponse.from_json(message["data"]).text)
    assert heard == ["first"]
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_an_effect_that_fails_does_not_swallow_the_others(server: Server, redis: "Redis") -> None:
    await redis.rpush(redis_names.history("s"), "a list of an older version")
    for name in (redis_names.backlog("s"), redis_names.answers("s")):
        await redis.set(name, "of another type")
    listener = redis.pubsub()
    await listener.subscribe(redis_names.task_response("s"))
    record = TurnRecord(turn=1, user="q", reply="a", ts=1, path="legacy")
    turn = effects.submit("s", "s#1", redis_names.CHAT_REQUESTS, chat("s", 1))
    answer = effects.answer(TaskResponse(message_id="s#1", task_id="s"))
    await finished(server, redis, *effects.remember("s", [record]), turn, answer, ("SET", "last", "there"))
    assert await redis.get("last") == "there"
    assert await taken(redis, redis_names.CHAT_REQUESTS) == ["s#1"], "out of order rather than lost"
    async with asyncio.timeout(2):
        while await listener.get_message(ignore_subscribe_messages=True, timeout=0.1) is None:
            continue
    await listener.aclose()  # type: ignore[no-untyped-call]

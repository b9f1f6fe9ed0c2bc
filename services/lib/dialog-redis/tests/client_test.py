import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_telemetry import metrics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def fails(_: Redis) -> str:
    raise RedisConnectionError("refused")


async def works(_: Redis) -> str:
    return "ok"


async def wrong(_: Redis) -> str:
    raise ResponseError("WRONGTYPE")


async def test_after_a_failure_calls_fail_at_once_until_one_is_let_through() -> None:
    clock = Clock()
    link = RedisClient("redis://127.0.0.1:1/0", cooldown_s=1.0, clock=clock)
    with pytest.raises(RedisUnavailable, match="ConnectionError"):
        await link.call("history", fails)
    assert link.unavailable_reason == "ConnectionError"
    with pytest.raises(RedisUnavailable):
        await link.call("history", works)
    clock.now += 1.1
    assert await link.call("history", works) == "ok"
    assert link.unavailable_reason is None
    await link.aclose()


async def test_who_needs_to_know_asks_also_after_a_failure_and_then_nobody_rests_any_longer() -> (
    None
):
    link = RedisClient("redis://127.0.0.1:1/0", clock=Clock())
    with pytest.raises(RedisUnavailable, match="ConnectionError"):
        await link.call("history", fails)
    with pytest.raises(RedisUnavailable, match="ConnectionError"):
        await link.call("history", works)
    assert await link.call_within("owner", works, 1) == "ok"
    assert await link.call("history", works) == "ok"
    await link.aclose()


async def test_an_error_answer_is_a_failure_but_not_a_rest() -> None:
    link = RedisClient("redis://127.0.0.1:1/0", clock=Clock())
    with pytest.raises(RedisUnavailable, match="ResponseError"):
        await link.call("sample", wrong)
    assert await link.call("sample", works) == "ok"
    await link.aclose()


async def test_a_server_that_is_not_there_is_redis_down() -> None:
    link = RedisClient("redis://127.0.0.1:9/0")

    async def ping(client: Redis) -> bool:
        return bool(await client.ping())

    with pytest.raises(RedisUnavailable, match="for history"):
        await link.call("history", ping)
    await link.aclose()


@pytest.mark.looptime
async def test_a_caller_in_a_hurry_waits_no_longer_than_it_can_and_for_others_nothing_is_down() -> (
    None
):
    clock = asyncio.get_running_loop().time
    link, began = RedisClient("redis://127.0.0.1:1/0", clock=clock), clock()

    async def late(_: Redis) -> None:
        await asyncio.sleep(10)

    with pytest.raises(RedisUnavailable, match="no answer within 0.1 s"):
        await link.call_within("owner", late, 0.1)
    assert clock() - began == pytest.approx(0.1)
    assert link.unavailable_reason is None
    assert await link.call_within("owner", works, 0.1) == "ok"
    with pytest.raises(RedisUnavailable, match="ConnectionError"):
        await link.call_within("owner", fails, 0.1)
    await link.aclose()


@pytest.mark.looptime
async def test_patience_waits_until_redis_is_there_and_no_longer_than_that_helps() -> None:
    link, tries = (
        RedisClient(
            "redis://127.0.0.1:1/0", cooldown_s=0.5, clock=lambda: asyncio.get_running_loop().time()
        ),
        0,
    )

    async def third_time(_: Redis) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RedisConnectionError("refused")
        return "ok"

    assert await link.call_until_available("history", third_time) == "ok"
    assert tries == 3
    with pytest.raises(RedisUnavailable) as down:
        await link.call_until_available("history", wrong)
    assert down.value.wrong_type
    await link.aclose()


@pytest.mark.looptime
async def test_who_has_time_asks_a_redis_that_is_late_again_until_it_answers() -> None:
    loop = asyncio.get_running_loop()
    link = RedisClient("redis://127.0.0.1:1/0", clock=loop.time)
    asked: list[float] = []

    async def late(_: Redis) -> str:
        asked.append(loop.time())
        if loop.time() - asked[0] < 7:
            await asyncio.sleep(2)
            raise RedisTimeoutError("late")
        return "ok"

    before = metrics.DEADLINES_MISSED.labels(deadline="redis_asr_patient")._value.get()
    assert await link.call_with_deadline(10, "asr", late) == "ok"
    assert len(asked) == 5
    assert metrics.DEADLINES_MISSED.labels(deadline="redis_asr_patient")._value.get() == before + 4
    await link.aclose()


@pytest.mark.looptime
async def test_and_gives_up_when_its_own_time_is_over() -> None:
    loop = asyncio.get_running_loop()
    link = RedisClient("redis://127.0.0.1:1/0", clock=loop.time)

    async def never(_: Redis) -> str:
        await asyncio.sleep(3600)
        return "never"

    began = loop.time()
    with pytest.raises(RedisUnavailable, match="TimeoutError"):
        await link.call_with_deadline(10, "asr", never)
    assert 9 < loop.time() - began <= 10.5
    await link.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize(("says", "seconds"), [(fails, 1.0), (wrong, 0.1)])
async def test_a_redis_that_refuses_or_says_no_is_not_waited_for(
    says: Callable[[Redis], Awaitable[str]], seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    link = RedisClient("redis://127.0.0.1:1/0", clock=loop.time)
    began = loop.time()
    with pytest.raises(RedisUnavailable):
        await link.call_with_deadline(10, "asr", says)
    assert loop.time() - began <= seconds
    await link.aclose()


async def test_it_knows_for_how_long_redis_has_not_answered() -> None:
    now = 100.0
    client = RedisClient("redis://127.0.0.1:9", timeout_s=0.2, retry=False, clock=lambda: now)
    assert not client.is_known
    with pytest.raises(RedisUnavailable):
        await client.call("test", lambda redis: redis.get("x"))
    assert client.is_known
    assert client.unavailable_for(0) == "ConnectionError"
    assert client.unavailable_for(5) is None
    now += 5
    assert client.unavailable_for(5) == "ConnectionError"
    client.note_failure("test", OSError("again"))
    assert client.unavailable_for(5) == "OSError", "the first failure counts"
    await client.aclose()

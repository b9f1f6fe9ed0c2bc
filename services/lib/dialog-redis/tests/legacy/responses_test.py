import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import AudioBlob, ChainMeta, TaskResponse
from dialog_redis.client import RedisUnavailable
from dialog_redis.legacy import responses as module
from dialog_redis.legacy.responses import LegacyResponses
from dialog_telemetry import metrics


def response(
    turn: int, text: str = "", *, task: str = "live-001", audio: AudioBlob | None = None
) -> TaskResponse:
    meta = ChainMeta(session_id=task, turn=turn)
    return TaskResponse(
        message_id=f"{task}#{turn}",
        task_id=task,
        text=text or f"answer {turn}",
        audio=audio,
        meta=meta,
    )


async def becomes(check: Callable[[], bool | Awaitable[bool]], within_s: float = 8.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            answer = check()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
async def answers(store: Store) -> AsyncIterator[LegacyResponses]:
    made = LegacyResponses(store.url)
    made.start()
    yield made
    await made.aclose()


async def say(redis: "Redis", *responses: TaskResponse) -> None:
    """As a work list does it for `effects.answer`."""
    async with redis.pipeline(transaction=True) as together:
        for one in responses:
            together.hset(redis_names.responses(one.task_id), one.message_id, one.to_json())
            together.expire(redis_names.responses(one.task_id), redis_names.RESPONSE_TTL_S)
            together.publish(redis_names.task_response(one.task_id), one.to_json())
        await together.execute()


class Taken:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, response: TaskResponse) -> None:
        self.texts.append(response.text)


async def test_nothing_is_missed_and_nothing_comes_twice(
    store: Store, answers: LegacyResponses
) -> None:
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await say(redis, response(2), response(1), response(9, task="live-002"))
            early, late = Taken(), Taken()
            answers.subscribe("live-001", early)
            await becomes(lambda: early.texts == ["answer 1", "answer 2"])
            await say(redis, response(3))
            await say(redis, response(3))
            await becomes(lambda: len(early.texts) == 3)
            answers.subscribe("live-001", late)
            await becomes(lambda: late.texts == ["answer 1", "answer 2", "answer 3"])
            await say(redis, response(4))
            await becomes(lambda: early.texts[-1] == late.texts[-1] == "answer 4")
            assert len(early.texts) == len(late.texts) == 4


async def test_whoever_left_is_told_nothing_and_may_come_back(
    store: Store, answers: LegacyResponses
) -> None:
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            one, two, again = Taken(), Taken(), Taken()
            answers.subscribe("live-001", one)
            answers.subscribe("live-001", two)
            await say(redis, response(1))
            await becomes(lambda: len(one.texts) == len(two.texts) == 1)
            answers.unsubscribe("live-001", one)
            await say(redis, response(2))
            await becomes(lambda: len(two.texts) == 2)
            answers.unsubscribe("live-001", two)
            answers.unsubscribe("live-001", two)

            async def silent() -> bool:
                return await redis.pubsub_numsub(redis_names.task_response("live-001")) == [
                    (redis_names.task_response("live-001"), 0)
                ]

            await becomes(silent)
            await say(redis, response(3))
            answers.subscribe("live-001", again)
            await becomes(lambda: len(again.texts) == 3)
            assert (len(one.texts), len(two.texts)) == (1, 2)


async def test_one_answer_alone_can_be_waited_for(store: Store, answers: LegacyResponses) -> None:
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await say(redis, response(1), response(2))
            kept, coming = Taken(), Taken()
            answers.subscribe("live-001", kept, only="live-001#2")
            answers.subscribe("live-001", coming, only="live-001#3")
            await becomes(lambda: kept.texts == ["answer 2"])
            await say(redis, response(4), response(3))
            await becomes(lambda: coming.texts == ["answer 3"])
            assert kept.texts == ["answer 2"]


async def test_what_was_heard_is_not_given_to_those_who_ask_for_the_unheard(
    store: Store, answers: LegacyResponses
) -> None:
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            blob = "ab" * 16
            await redis.set(redis_names.blob(blob), b"x", ex=redis_names.BLOB_TTL_S)
            first = response(1, audio=AudioBlob(id=blob, format="wav"))
            await say(redis, first, response(2))
            await answers.mark_delivered(first)
            assert await answers.delivered_ids("live-001") == {"live-001#1"}
            assert await answers.delivered_ids("live-002") == set()
            assert await redis.ttl(redis_names.blob(blob)) <= redis_names.RELEASED_BLOB_TTL_S
            assert (
                0 < await redis.ttl(redis_names.delivered("live-001")) <= redis_names.RESPONSE_TTL_S
            )
            late = Taken()
            answers.subscribe("live-001", late, unheard=True)
            await becomes(lambda: late.texts == ["answer 2"])


async def test_redis_may_come_late_and_go_away_and_what_was_kept_meanwhile_is_given(
    store: Store, answers: LegacyResponses
) -> None:
    failures = metrics.REDIS_FAILURES.labels(purpose="answers")
    before = failures._value.get()
    taken = Taken()
    answers.subscribe("live-001", taken)
    await becomes(lambda: failures._value.get() > before)
    assert answers.unavailable_reason is not None
    with pytest.raises(RedisUnavailable):
        await answers.delivered_ids("live-001")
    with store:
        await becomes(lambda: answers.unavailable_reason is None)
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await say(redis, response(1))
            await becomes(lambda: taken.texts == ["answer 1"])
    await becomes(lambda: answers.unavailable_reason is not None)
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await redis.hset(redis_names.responses("live-001"), "live-001#2", response(2).to_json())
            await becomes(lambda: taken.texts == ["answer 1", "answer 2"])


async def test_a_dead_connection_is_noticed_though_nobody_closes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "PING_EVERY_S", 0.1)
    with store:
        answers = LegacyResponses(store.url)
        answers.start()
        await becomes(lambda: answers.unavailable_reason is None)
        await asyncio.sleep(0.35)
        assert answers.unavailable_reason is None, "a server that answers PING is not dead"
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await redis.client_pause(600, all=True)
        await becomes(lambda: answers.unavailable_reason is not None)
        await becomes(lambda: answers.unavailable_reason is None)
        await answers.aclose()


async def test_junk_is_counted_and_the_rest_goes_on(store: Store, answers: LegacyResponses) -> None:
    refused = metrics.REQUESTS_REJECTED.labels(code="bad_answer")
    before = refused._value.get()
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await redis.hset(redis_names.responses("live-001"), "junk", "{")
            await say(redis, response(1))
            taken = Taken()
            answers.subscribe("live-001", taken)
            await becomes(lambda: len(taken.texts) == 1)
            await redis.publish(redis_names.task_response("live-001"), '{"message_id": 5}')
            await say(redis, response(2))
            await becomes(lambda: len(taken.texts) == 2)
    assert refused._value.get() == before + 2


async def test_a_session_that_never_falls_silent_does_not_keep_all_its_answers(
    store: Store, answers: LegacyResponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STORED", 10)
    with store:
        async with Redis.from_url(store.url, decode_responses=True) as redis:
            await say(redis, *(response(turn) for turn in range(1, 13)))
            for turn in range(1, 13):
                await answers.mark_delivered(response(turn))
            answers.subscribe("live-001", Taken(), only="live-001#40")

            async def fewer() -> bool:
                return set(await redis.hkeys(redis_names.responses("live-001"))) == {
                    f"live-001#{turn}" for turn in range(8, 13)
                }

            await becomes(fewer)

            async def fewer_heard() -> bool:
                return len(await answers.delivered_ids("live-001")) == 5

            await becomes(fewer_heard)


async def test_the_first_answer_to_a_name_stands_and_is_announced_alone(
    store: Store, answers: LegacyResponses
) -> None:
    with store:
        heard = Taken()
        answers.subscribe("live-001", heard)
        await becomes(lambda: answers.unavailable_reason is None)
        assert (await answers.store(response(1, "first"))).text == "first"
        assert (await answers.store(response(1, "second"))).text == "first"
        await becomes(lambda: heard.texts == ["first"])
        async with Redis.from_url(store.url) as redis:
            assert (
                0 < await redis.ttl(redis_names.responses("live-001")) <= redis_names.RESPONSE_TTL_S
            )


async def test_without_redis_no_answer_is_said_to_be_kept(answers: LegacyResponses) -> None:
    with pytest.raises(RedisUnavailable):
        await answers.store(response(1))

"""What finished work does in Redis, by a real Valkey.

Turns of a session one after the other, answers once, nothing swallowed.
"""

import asyncio

import redis as blocking
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import integers, sampled_from
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import ChainMeta, TaskResponse, UserInput
from dialog_redis.work_queue import commands, scripts
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.store import QueueStore

LIST = "user_input_queue"


def chat(session: str, turn: int) -> UserInput:
    return UserInput(
        task_id=session, content=f"{turn}", meta=ChainMeta(session_id=session, turn=turn)
    )


async def finished(url: str, redis: "Redis", *all_effects: RedisCommand) -> None:
    """As if a job ended with these."""
    work = QueueStore(url, LIST, "direct", lease_s=5)
    await redis.lpush(redis_names.processing(LIST, "direct"), "x")
    assert await work.complete("x", all_effects) is not None
    await work.aclose()


async def test_of_a_session_only_the_first_turn_is_in_the_chain(url: str, redis: "Redis") -> None:
    out = redis_names.CHAT_REQUESTS
    for turn in (1, 2, 3):
        await finished(url, redis, commands.submit("s", f"s#{turn}", out, chat("s", turn)))
    await finished(url, redis, commands.submit("other", "other#1", out, chat("other", 1)))
    assert await taken(redis, out) == ["s#1", "other#1"]
    await finished(url, redis, commands.advance("s", "s#2", out))
    assert await taken(redis, out) == [], "it is not the turn of the second yet"
    await finished(url, redis, commands.advance("s", "s#1", out))
    assert await taken(redis, out) == ["s#2"]
    await finished(url, redis, commands.advance("s", "s#1", out))
    assert await taken(redis, out) == [], "an answer that comes twice moves nothing"
    await finished(url, redis, commands.advance("s", "s#2", out))
    await finished(url, redis, commands.advance("s", "s#3", out))
    assert await taken(redis, out) == ["s#3"]
    assert await redis.exists(redis_names.session_queue("s")) == 0
    assert 0 < await redis.ttl(redis_names.session_queue("other")) <= redis_names.REPLY_CLAIM_TTL_S


async def taken(redis: "Redis", name: str) -> list[str]:
    found = []
    while (raw := await redis.rpop(name)) is not None:
        message = UserInput.from_json(str(raw))
        found.append(f"{message.task_id}#{message.meta.turn}")
    return found


async def test_the_first_answer_to_a_turn_stands_and_is_announced_once(
    url: str, redis: "Redis"
) -> None:
    listener = redis.pubsub()
    await listener.subscribe(redis_names.task_response("s"))
    for text in ("first", "second"):
        await finished(
            url,
            redis,
            commands.send_response(TaskResponse(message_id="s#1", task_id="s", text=text)),
        )
    (kept,) = await redis.hvals(redis_names.responses("s"))
    assert TaskResponse.from_json(kept).text == "first"
    assert 0 < await redis.ttl(redis_names.responses("s")) <= redis_names.RESPONSE_TTL_S
    heard: list[str] = []
    while (
        message := await listener.get_message(ignore_subscribe_messages=True, timeout=0.3)
    ) is not None or len(heard) < 1:
        if message is not None:
            heard.append(TaskResponse.from_json(message["data"]).text)
    assert heard == ["first"]
    await listener.aclose()  # type: ignore[no-untyped-call]


async def test_an_effect_that_fails_does_not_swallow_the_others(url: str, redis: "Redis") -> None:
    await redis.rpush(redis_names.history("s"), "a list of an older version")
    for name in (redis_names.session_queue("s"), redis_names.responses("s")):
        await redis.set(name, "of another type")
    listener = redis.pubsub()
    await listener.subscribe(redis_names.task_response("s"))
    record = TurnRecord(turn=1, user="q", reply="a", ts=1, path="legacy")
    turn = commands.submit("s", "s#1", redis_names.CHAT_REQUESTS, chat("s", 1))
    answer = commands.send_response(TaskResponse(message_id="s#1", task_id="s"))
    await finished(
        url, redis, *commands.store_turns("s", [record]), turn, answer, ("SET", "last", "there")
    )
    assert await redis.get("last") == "there"
    assert await taken(redis, redis_names.CHAT_REQUESTS) == ["s#1"], "out of order rather than lost"
    async with asyncio.timeout(2):
        while await listener.get_message(ignore_subscribe_messages=True, timeout=0.1) is None:
            continue
    await listener.aclose()  # type: ignore[no-untyped-call]


class Chain(RuleBasedStateMachine):
    """Turns of two sessions are asked, taken by a service, and answered, also twice or by somebody who was too late."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.redis = blocking.Redis.from_url(self.url, decode_responses=True)
        self.redis.flushall()
        self.asked: dict[str, int] = {"a": 0, "b": 0}
        self.waiting: dict[str, list[str]] = {"a": [], "b": []}
        self.taken: list[str] = []

    def teardown(self) -> None:
        self.redis.close()

    def _finish(self, effect: RedisCommand) -> None:
        self.redis.lpush("processing", "x")
        told = self.redis.eval(
            scripts.COMPLETE, 2, "processing", "attempts", "x", str(len(effect)), *effect
        )
        assert told == [1]

    @rule(session=sampled_from("ab"))
    def ask(self, session: str) -> None:
        self.asked[session] += 1
        name = f"{session}#{self.asked[session]}"
        self.waiting[session].append(name)
        message = chat(session, self.asked[session])
        self._finish(commands.submit(session, name, redis_names.CHAT_REQUESTS, message))

    @rule()
    def take(self) -> None:
        raw = self.redis.rpop(redis_names.CHAT_REQUESTS)
        if raw is not None:
            message = UserInput.from_json(str(raw))
            self.taken.append(f"{message.task_id}#{message.meta.turn}")

    @rule(session=sampled_from("ab"), back=integers(0, 3))
    def answer(self, session: str, back: int) -> None:
        """The answer to one of its last turns.

        Only that of the first one that waits moves anything.
        """
        name = f"{session}#{self.asked[session] - back}"
        self._finish(commands.advance(session, name, redis_names.CHAT_REQUESTS))
        if self.waiting[session][:1] == [name]:
            self.waiting[session].pop(0)

    @invariant()
    def each_session_has_its_first_waiting_turn_in_the_chain_and_no_other(self) -> None:
        queued = [
            UserInput.from_json(str(raw))
            for raw in self.redis.lrange(redis_names.CHAT_REQUESTS, 0, -1)
        ]
        given = [*self.taken, *(f"{one.task_id}#{one.meta.turn}" for one in queued)]
        assert len(set(given)) == len(given)
        for session, waiting in self.waiting.items():
            assert [name for name in waiting if name in given] == waiting[:1]
            held = [
                str(entry).split("\n", 1)[0]
                for entry in self.redis.lrange(redis_names.session_queue(session), 0, -1)
            ]
            assert held == waiting


def test_whatever_happens_a_session_has_one_turn_in_the_chain_and_none_is_lost(url: str) -> None:
    class Here(Chain):
        pass

    Here.url = url
    run_state_machine_as_test(Here, settings=settings(max_examples=30, stateful_step_count=30))

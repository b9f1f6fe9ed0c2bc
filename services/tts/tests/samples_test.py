"""A turn of the chain is counted once, with its times; what is none is not."""

from typing import TYPE_CHECKING

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics

if TYPE_CHECKING:
    from conftest import House


async def test_a_turn_of_the_chain_leaves_one_sample_with_its_times(house: "House") -> None:
    await house.asked(
        house.request(flags=FlagSet(generation=7), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    )
    (sample,) = await house.samples()
    assert (sample.session_id, sample.turn, sample.path, sample.outcome, sample.reason) == (
        "live-001",
        3,
        "legacy",
        "completed",
        "cut",
    )
    assert (sample.flags.generation, sample.traceparent) == (7, f"00-{'a' * 32}-{'b' * 16}-01")
    assert sample.ttft_ms is not None
    assert sample.ttft_ms == sample.first_audio_ms == sample.total_ms
    assert 1_400 < sample.ttft_ms < 10_000


async def test_a_turn_of_the_chain_without_a_reason_counts_where_the_main_path_was_off(
    house: "House",
) -> None:
    await house.asked(house.request(reason=None, flags=FlagSet(ENABLE_SYNC_CORE=False)))
    assert [one.turn for one in await house.samples()] == [3]


async def test_the_voice_of_a_turn_of_the_main_path_is_no_turn_of_the_chain(house: "House") -> None:
    """The engine has left its sample already, and its turns are in no backlog."""
    backlog = redis_names.session_queue("live-001")
    await house.redis.rpush(backlog, "live-001#4\n{}")
    turns = metrics.TURNS.labels(path="legacy", outcome="completed")
    before = turns._value.get()
    await house.asked(
        house.request(reason=None, flags=FlagSet()), house.request(turn=None, reason=None)
    )
    assert len(await house.answers()) == 2
    assert await house.samples() == []
    assert turns._value.get() == before
    assert await house.redis.lrange(backlog, 0, -1) == ["live-001#4\n{}"]
    assert await house.redis.exists(redis_names.CHAT_REQUESTS) == 0


async def test_of_a_reply_that_somebody_else_answered_nothing_is_counted(house: "House") -> None:
    turns = metrics.TURNS.labels(path="legacy", outcome="completed")
    before = turns._value.get()

    async def taken_away(*_: object) -> bool:
        return False

    await house.speaker.handle(Job(house.request().to_json(), 0, house.LIST, taken_away))
    assert turns._value.get() == before

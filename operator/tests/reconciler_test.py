"""The work loop: when it decides, in which order it writes, and what a failed write costs."""

import itertools
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from dialog_contracts.redis_names import FLAGS
from dialog_contracts.session_document import SessionDocument
from vtuber_operator.errors import ClusterError, Conflict, NotFound, Refused, TooMany, Unreachable
from vtuber_operator.reconciler import BATCH, REPORT_UNAVAILABLE_AFTER_S
from vtuber_operator.testing.reconciler_harness import ReconcilerHarness
from vtuber_operator.testing.wait import until

STREAMING, BARGE_IN = "SYNC_TTS_STREAMING", "SYNC_TTS_BARGE_IN"


@pytest.fixture
async def bench(url: str) -> AsyncIterator[ReconcilerHarness]:
    async with ReconcilerHarness(url).working() as made:
        yield made


async def test_nothing_is_decided_before_the_lists_and_redis_are_known(
    url: str, redis: "Redis"
) -> None:
    kept = SessionDocument.model_validate(
        {"sessionId": "live-001", "flags": {"generation": 5}, "resource": "vt/live-001"}
    )
    await redis.hset(FLAGS, "live-001", kept.to_json())
    made = ReconcilerHarness(url)
    made.established = False
    async with made.working() as bench:
        came_round = bench.reconciler.passed_at
        for knows in ("lists", "acknowledgements"):
            bench.now += 1
            bench.dirty.set()
            await until(lambda: bench.reconciler.passed_at == bench.now, "comes round")
            assert bench.reconciler.passes == 0, knows
            assert await redis.hkeys(FLAGS) == ["live-001"], (
                "a list that is not complete deletes nothing"
            )
            bench.established = True
        assert bench.reconciler.passed_at > came_round
        await bench.acks.refresh()
        await bench.passes()
        assert await redis.hkeys(FLAGS) == [], "now it is known that nobody wants it"


async def test_without_redis_it_decides_once_that_may_be_said(no_url: str) -> None:
    made = ReconcilerHarness(no_url)
    made.cluster.reads_redis = False
    async with made.working() as bench:
        bench.apply("live-001")
        await until(lambda: bench.redis.unavailable_reason is not None, "away")
        assert bench.reconciler.passes == 0
        bench.now += REPORT_UNAVAILABLE_AFTER_S
        bench.dirty.set()
        await until(
            lambda: bench.config_map.desired is not None and bool(bench.config_map.desired),
            "cold starts have a table",
        )
        assert bench.effective("live-001") == "CORE"
        assert bench.writer.revision > 0, "and it has a revision, below every later one"
        assert bench.writer.written == {}


async def test_a_step_is_in_the_status_before_it_is_in_redis_and_waits_for_every_pod(
    bench: ReconcilerHarness, redis: "Redis"
) -> None:
    bench.apply("live-001", STREAMING, BARGE_IN)
    await bench.acks.refresh()
    await bench.passes(3)
    assert bench.effective("live-001") == "CORE", "nobody has acknowledged"
    await bench.acknowledged()
    assert bench.effective("live-001") == "CORE,STREAMING"
    await bench.passes(3)
    assert bench.effective("live-001") == "CORE,STREAMING"
    await bench.acknowledged()
    assert bench.effective("live-001") == "CORE,STREAMING,BARGE_IN"
    steps = dict(reversed(bench.cluster.seen))
    assert steps["CORE"] == "None"
    assert '"SYNC_TTS_STREAMING":false' in steps["CORE,STREAMING"]
    assert '"SYNC_TTS_BARGE_IN":false' in steps["CORE,STREAMING,BARGE_IN"]
    assert '"SYNC_TTS_BARGE_IN":true' in str(await redis.hget(FLAGS, "live-001"))


async def test_a_status_that_was_not_written_moves_no_flag_and_tells_nothing(
    bench: ReconcilerHarness, redis: "Redis"
) -> None:
    bench.apply("live-001")
    await bench.settled()
    told = len(bench.events.reasons)
    bench.cluster.failures["live-001"] = [Unreachable("status", "500")] * 100
    bench.apply("live-001", STREAMING)
    await bench.acknowledged()
    assert '"SYNC_TTS_STREAMING":false' in str(await redis.hget(FLAGS, "live-001"))
    assert bench.events.reasons[told:] == []
    bench.cluster.failures.clear()
    bench.now += 60
    await bench.settled()
    assert bench.effective("live-001") == "CORE,STREAMING"
    assert bench.events.reasons[told:] == ["FlagOn", "Ready"]


async def test_flags_come_back_off_in_reverse_order(
    bench: ReconcilerHarness, redis: "Redis"
) -> None:
    bench.apply("live-001", STREAMING, BARGE_IN)
    await bench.settled()
    bench.cluster.seen.clear()
    bench.apply("live-001")
    await bench.settled()
    order = [
        effective
        for effective, _ in itertools.groupby(effective for effective, _ in bench.cluster.seen)
    ]
    assert order == ["CORE,STREAMING", "CORE"]
    assert '"SYNC_TTS_STREAMING":false' in str(await redis.hget(FLAGS, "live-001"))
    assert bench.events.reasons[-3:] == ["FlagOff", "FlagOff", "Ready"]


async def test_one_that_is_gone_is_forgotten_before_the_watch_says_so(
    bench: ReconcilerHarness, redis: "Redis"
) -> None:
    bench.apply("live-001")
    await bench.settled()
    bench.cluster.failures["live-001"] = [NotFound("status")]
    bench.apply("live-001", STREAMING)
    await bench.passes(3)
    assert bench.observed.resources() == ()
    assert await redis.hkeys(FLAGS) == []


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (Conflict("status"), [0.2, 0.4, 0.8]),
        (Unreachable("status"), [0.2, 0.4, 0.8]),
        (TooMany("status", after_s=50), [50, 50, 50]),
        (Refused("status"), [30, 30, 30]),
    ],
)
async def test_a_failed_write_is_tried_again_after_a_growing_pause_and_not_before(
    bench: ReconcilerHarness, error: ClusterError, pauses: list[float]
) -> None:
    await bench.acks.refresh()
    bench.apply("live-001")
    bench.cluster.failures["live-001"] = [error] * len(pauses)
    await bench.passes()
    for tries, pause in enumerate(pauses, start=1):
        bench.now += pause * 0.95
        await bench.passes(2)
        assert len(bench.cluster.asked) == tries, f"within {pause} s"
        bench.now += pause * 0.06
        await bench.passes()
    assert len(bench.cluster.asked) > len(pauses)
    assert bench.effective("live-001") == "CORE"


async def test_one_that_fails_holds_up_no_other(bench: ReconcilerHarness) -> None:
    bench.cluster.failures["bad"] = [Refused("status")] * 100
    for name in ("bad", "good"):
        bench.apply(name)
    await bench.acks.refresh()
    await bench.passes(2)
    assert (bench.effective("bad"), bench.effective("good")) == ("None", "CORE")


async def test_turning_off_does_not_wait_behind_all_that_is_new(bench: ReconcilerHarness) -> None:
    bench.apply("live-001", STREAMING)
    await bench.settled()
    bench.cluster.asked.clear()
    for number in range(BATCH + 10):
        bench.apply(f"new-{number}")
    bench.apply("live-001")
    await until(lambda: len(bench.cluster.asked) > BATCH, "the first are written")
    assert bench.cluster.asked[0] == "live-001"
    await until(
        lambda: len(set(bench.cluster.asked)) == BATCH + 11,
        "and then the rest, without being asked",
    )

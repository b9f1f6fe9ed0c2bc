from typing import TYPE_CHECKING

import pytest

from dialog_contracts import redis_names
from dialog_redis import recording_budget
from dialog_redis.client import RedisClient, RedisUnavailable
from dialog_redis.recording_budget import RecordingBudget
from service_runtime.http.errors import TooMany

if TYPE_CHECKING:
    from redis.asyncio import Redis


@pytest.fixture
def budget(link: RedisClient) -> RecordingBudget:
    return RecordingBudget(link, in_all=100, a_client=60)


async def test_a_client_has_its_share_and_all_clients_theirs(budget: RecordingBudget) -> None:
    await budget.reserve("r-1", 60, "a")
    with pytest.raises(TooMany, match="recordings of this client") as own:
        await budget.reserve("r-2", 1, "a")
    assert (own.value.body.code, own.value.body.limit) == ("asr_busy", 60)
    await budget.reserve("r-3", 40, "b")
    with pytest.raises(TooMany, match="recordings of all clients") as everyones:
        await budget.reserve("r-4", 1, "c")
    assert everyones.value.body.limit == 100
    assert everyones.value.retry_after_s == recording_budget.RETRY_AFTER_S


async def test_an_entry_ends_with_the_recording_it_stands_for(
    budget: RecordingBudget, redis: "Redis"
) -> None:
    await budget.reserve("r-1", 60, "a")
    ends = await redis.zscore(redis_names.RECORDING_ENDS, "r-1")
    assert ends is not None
    seconds, _ = await redis.time()
    assert 0 < ends - seconds <= redis_names.BLOB_TTL_S
    await redis.zadd(redis_names.RECORDING_ENDS, {"r-1": seconds - 1})
    await budget.reserve("r-2", 60, "a")
    assert set(await redis.hkeys(redis_names.RECORDING_SIZES)) == {"r-2"}


async def test_there_are_only_so_many_entries(
    budget: RecordingBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_budget, "ENTRIES", 2)
    for number in (1, 2):
        await budget.reserve(f"r-{number}", 1, "a")
    with pytest.raises(TooMany, match="all clients"):
        await budget.reserve("r-3", 1, "b")


async def test_without_redis_it_is_redis_that_is_named(no_link: RedisClient) -> None:
    with pytest.raises(RedisUnavailable):
        await RecordingBudget(no_link, within_s=0.05).reserve("r-1", 1, "a")

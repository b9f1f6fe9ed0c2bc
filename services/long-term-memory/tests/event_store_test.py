import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_contracts.event_id import event_id
from dialog_contracts.outbox import OutboxEvent
from dialog_redis.client import RedisClient
from long_term_memory.event_store import EventStore


@pytest.fixture
def store(link: RedisClient) -> EventStore:
    return EventStore(link, memories=3, ttl_s=1_000)


def event(kind: str, turn: int, viewer: str | None = "twitch:1", **payload: Any) -> OutboxEvent:
    said = {"text": f"question {turn}", "vectorize": False, **payload}
    if viewer is not None:
        said["viewerId"] = viewer
    return OutboxEvent.model_validate(
        {
            "eventId": event_id(1_790_000_000_000, kind, turn, json.dumps(said)),
            "correlationId": f"a#{turn}",
            "sessionId": "a",
            "turn": turn,
            "type": kind,
            "payload": said,
            "ts": 1_790_000_000 + turn,
        }
    )


def written(turn: int, **payload: Any) -> OutboxEvent:
    return event("LtmWriteRequested", turn, **{"reply": f"answer {turn}", **payload})


def stopped(turn: int, revision: int, heard: str) -> OutboxEvent:
    return event("TurnInterrupted", turn, heardText=heard, revision=revision)


@pytest.fixture
def memories(redis: Any) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    async def read(user: str = "twitch:1") -> list[dict[str, Any]]:
        rows = await redis.zrange(redis_names.user_memories(user), 0, -1)
        return [json.loads(row) for row in rows]

    return read


async def test_an_event_that_comes_again_changes_nothing(
    store: EventStore, memories: Callable[..., Awaitable[list[dict[str, Any]]]]
) -> None:
    assert await store.apply(written(1))
    assert not await store.apply(written(1))
    [memory] = await memories()
    assert memory["content"] == "question 1"
    assert memory["metadata"]["reply"] == "answer 1"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_highest_revision_wins_in_any_order(
    store: EventStore,
    memories: Callable[..., Awaitable[list[dict[str, Any]]]],
    order: tuple[int, ...],
) -> None:
    events = [written(1), stopped(1, 1, "answ"), stopped(1, 2, "an")]
    for at in order:
        await store.apply(events[at])
    [memory] = await memories()
    assert (memory["metadata"]["reply"], memory["metadata"]["interrupted"]) == ("an", True)


async def test_viewers_share_no_memory_and_unknown_ones_belong_to_their_session(
    store: EventStore, memories: Callable[..., Awaitable[list[dict[str, Any]]]]
) -> None:
    await store.apply(written(1))
    await store.apply(event("LtmWriteRequested", 2, "twitch:2", reply="r"))
    await store.apply(event("LtmWriteRequested", 3, None, reply="r"))
    assert [len(await memories(user)) for user in ("twitch:1", "twitch:2", "session:a")] == [1] * 3


async def test_only_the_latest_memories_are_kept(
    store: EventStore,
    memories: Callable[..., Awaitable[list[dict[str, Any]]]],
    redis: Any,
) -> None:
    for turn in range(1, 6):
        await store.apply(written(turn))
    assert [each["content"] for each in await memories()] == [
        "question 3",
        "question 4",
        "question 5",
    ]
    turns = await redis.hkeys(redis_names.user_turns("twitch:1"))
    assert sorted(turns) == ["a#3", "a#4", "a#5"]
    assert 0 < await redis.ttl(redis_names.user_turns("twitch:1")) <= 1_000


async def test_events_of_other_consumers_are_ignored(store: EventStore) -> None:
    assert not await store.apply(event("AnalyticsChatStats", 1))

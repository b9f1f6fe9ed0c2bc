"""Events on the cluster: whichever pod is deleted, every turn is counted and remembered once."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from e2e.harness import clients
from e2e.kind import timeouts
from e2e.kind.client import Room, room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

WORKERS = ("--set", "asyncWorkers.enabled=true,flags.ENABLE_STREAMS_OUTBOX=true")
QUICK = ("--set", "asyncWorkers.ltm.claimAfterSeconds=2,asyncWorkers.analytics.claimAfterSeconds=2")


async def counted(place: Room, turns: set[int]) -> None:
    """Until analytics has these turns of the session, and no other."""
    found: Any = None
    try:
        async with asyncio.timeout(timeouts.EVENTS_DELIVERED):
            while True:
                found = await clients.get(f"http://{place.at}/analytics?session={place.session}")
                if "sessions" in found:
                    [figures] = found["sessions"]
                    if {turn["turn"] for turn in figures.get("recent", ())} == turns:
                        return
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"{turns} are not counted: {found}") from None


async def remembered(namespace: Namespace, place: Room, turns: set[int]) -> None:
    """Until long-term memory has one memory of each turn."""
    key = f"ltm:user:session:{place.session}:memories"
    async with asyncio.timeout(timeouts.EVENTS_DELIVERED):
        while True:
            rows = namespace.kubectl(
                "exec", "vtuber-redis-0", "--", "valkey-cli", "--json", "zrange", key, "0", "-1"
            )
            names = [json.loads(row)["metadata"]["correlation_id"] for row in json.loads(rows)]
            if sorted(names) == sorted(f"{place.session}#{turn}" for turn in turns):
                return
            await asyncio.sleep(0.5)


async def test_whichever_pod_is_deleted_each_turn_is_counted_and_remembered_once(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", *WORKERS, *QUICK).upgrade()
    place = room(namespace)
    turns: set[int] = set()
    answer = await place.talks_again()
    assert answer.turn is not None
    turns.add(answer.turn)
    await counted(place, turns)
    for component in (
        "ltm-worker",
        "analytics-worker",
        "long-term-memory",
        "dialog-engine",
        "redis",
    ):
        for pod in namespace.pods(component):
            namespace.kubectl(
                "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force"
            )
        for _ in range(2):
            answer = await place.talks_again()
            assert answer.turn is not None
            turns.add(answer.turn)
    await counted(place, turns)
    await remembered(namespace, place, turns)
    backlog = await clients.get(f"http://{place.at}/events/backlog")
    assert [outbox["waiting"] for outbox in backlog["outboxes"]] == [0]
    assert [stream["dead"] for stream in backlog["streams"]] == [0, 0]
    refused = await clients.get(f"http://{place.at}/events/dead")
    assert refused["code"] == "admin_only", "a NodePort is not this machine"

"""Two engines and two output-handlers on two nodes: STOP finds its session from anywhere.

Rolled or drained under talk, no turn is lost.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from e2e.harness import clients
from e2e.harness.clients import Viewer
from e2e.kind import timeouts
from e2e.kind.client import Room
from e2e.kind.conversation import Conversation
from e2e.kind.listener import Listener
from e2e.kind.namespace import Namespace
from e2e.kind.nodes.conftest import engines
from e2e.kind.release import Release

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(timeouts.TEST_WITH_CLUSTER),
]
PEOPLE = 10
PATIENCE_S = 10.0
"""A message is answered within this while services are rolled.

Three tries, on two cores that also start pods.
"""

AWAY_S = 10.0
"""A viewer whose output-handler leaves is at the next one within this."""

PATIENCE_DRAINED_S = 30.0
"""The chain has one pod of each here, and they leave with the node.

A turn that falls back meanwhile waits for the next ones.
"""


async def test_stop_finds_its_session_from_any_replica(place: Room) -> None:
    """200 STOPs at random moments, over 20 sessions, by a viewer or at the door.

    Each silences all of its session and no other.
    """
    await place.talks_again()
    chance = random.Random(6)
    rooms = [Room(place.at, f"{place.session}-stop-{number}") for number in range(20)]
    async with AsyncExitStack() as stack:
        for_each = [
            [
                await stack.enter_async_context(clients.watching(f"ws://{place.at}", one.session))
                for _ in range(2)
            ]
            for one in rooms
        ]
        stopped = await asyncio.gather(
            *(cut_off(one, viewers, chance) for one, viewers in zip(rooms, for_each, strict=True))
        )
    assert sum(stopped) >= 50, (
        "many of the moments were within the text, which is written much faster than it is spoken"
    )
    for one, viewers in zip(rooms, for_each, strict=True):
        for viewer in viewers:
            assert {frame["sessionId"] for frame in viewer.frames if "sessionId" in frame} == {
                one.session
            }
            assert clients.chunks_after_stop_ack(viewer) == []


async def cut_off(one: Room, viewers: Sequence[Viewer], chance: random.Random) -> int:
    stopped = 0
    for _ in range(10):
        asking = asyncio.create_task(one.say())
        await asyncio.sleep(chance.uniform(0, 1))
        known = viewers[0].of("CONTROL", "START")
        if known and chance.random() < 0.5:
            # By its number, as the page does it: on a slow way it may meet the next turn, which it
            # is not for.
            await viewers[0].send(
                type="CONTROL", action="STOP", sessionId=one.session, turn=known[-1]["turn"]
            )
        else:
            reply = await clients.post(
                f"http://{one.at}", {"sessionId": one.session}, path="/control/stop"
            )
            assert reply.status in (202, 404)
        answer = await asking
        assert answer.status == 200
        assert answer.events[-1] == "done", answer.frames[-1:]
        if answer.stats.get("interrupted"):
            stopped += 1
            for viewer in viewers:
                await viewer.until(
                    lambda seen, turn=answer.turn: any(  # type: ignore[misc]
                        ack["turn"] == turn for ack in seen.of("CONTROL", "STOP_ACK")
                    )
                )
    whole = await one.say("and now the next")
    assert (whole.events[-1], whole.stats["interrupted"]) == ("done", False)
    return stopped


@asynccontextmanager
async def ten_people_talk(place: Room, name: str, patience_s: float) -> AsyncIterator[None]:
    """Whatever is done meanwhile.

    Every message is answered once, in order, and is in the history.
    """
    people = [
        Conversation(Room(place.at, f"{place.session}-{name}-{number}"), pause_s=0.1)
        for number in range(PEOPLE)
    ]
    listeners = [Listener(person.place) for person in people]
    listening = [asyncio.create_task(listener.listen()) for listener in listeners]
    began = time.monotonic()
    talking = [asyncio.create_task(person.hold()) for person in people]
    await asyncio.sleep(3)
    yield
    await asyncio.sleep(3)
    for person in people:
        person.over = True
    await asyncio.gather(*talking)
    took = time.monotonic() - began
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for person in people:
        assert (person.lost, person.broken) == ([], [])
        assert person.turns == sorted(set(person.turns)), "in order, and none twice"
        assert set(person.turns[-40:]) <= set(await person.place.turns()), (
            "history is there, whoever answered"
        )
    paths = [path for person in people for path in person.paths]
    longest = max(person.longest_s for person in people)
    away = max(listener.longest_away_s for listener in listeners)
    print(
        f"{name}: {len(paths)} turns ({len(paths) / took:.1f} a second), {paths.count('legacy')} by the fallback, "
        f"the longest took {longest:.1f} s; {sum(listener.heard_turns for listener in listeners)} were heard, "
        f"a viewer was away for {away:.1f} s at most"
    )
    for listener in listeners:
        assert listener.unfinished == [], (
            "what begins to sound is heard to its end, or cut off by the next turn"
        )
        assert listener.lost == []
        assert listener.heard_turns > 0
    assert away < AWAY_S
    assert longest < patience_s
    assert paths.count("legacy") < len(paths) / 2, "the engines stand in for each other"


async def test_one_engine_becomes_two_and_one_again(
    namespace: Namespace, release: Release, one_engine: Room
) -> None:
    """Not between shows but under talk.

    Whoever is asked for a session that another engine has says so, old input-handlers included.
    """
    await one_engine.talks_again()
    (only,) = namespace.pods("dialog-engine")
    async with ten_people_talk(one_engine, "resized", PATIENCE_S):
        await asyncio.to_thread(release.upgrade, *engines(2))
        # Those who talk stay where they are; of those who come now, the new engine has its share,
        # and gives it away when it goes.
        async with ten_people_talk(one_engine, "come-later", PATIENCE_S):
            await asyncio.sleep(2)
            assert await asyncio.to_thread(sessions_of, namespace, "vtuber-dialog-engine-1") > 0
            await asyncio.to_thread(release.upgrade, *engines(1))
    (still,) = namespace.pods("dialog-engine")
    assert still["metadata"]["uid"] == only["metadata"]["uid"], (
        "the first engine was not rolled for it"
    )


def sessions_of(namespace: Namespace, engine: str) -> int:
    place = f"/api/v1/namespaces/{namespace.name}/pods/{engine}:8100/proxy/readyz"
    return int(json.loads(namespace.kubectl("get", "--raw", place))["details"]["sessions"])


async def test_engines_and_outputs_are_rolled(namespace: Namespace, place: Room) -> None:
    await place.talks_again()
    async with ten_people_talk(place, "rolled", PATIENCE_S):
        for workload in ("statefulset/vtuber-dialog-engine", "deployment/vtuber-output-handler"):
            await asyncio.to_thread(namespace.kubectl, "rollout", "restart", workload)
            await asyncio.to_thread(namespace.rolled_out, workload)


async def test_a_node_is_drained(namespace: Namespace, place: Room) -> None:
    """The node without Redis: its volume is of its node here."""
    await place.talks_again()
    (redis,) = namespace.pods("redis")
    workers = {pod["spec"]["nodeName"] for pod in namespace.pods("dialog-engine")}
    assert len(workers) == 2, "the engines are spread over both nodes"
    (leaving,) = workers - {redis["spec"]["nodeName"]}
    drain = [
        "drain",
        leaving,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        f"--timeout={timeouts.NODE_DRAINED:.0f}s",
    ]
    try:
        async with ten_people_talk(place, "drained", PATIENCE_DRAINED_S):
            await asyncio.to_thread(namespace.kubectl, *drain, within=timeouts.NODE_DRAINED + 10)
    finally:
        namespace.kubectl("uncordon", leaving)
    namespace.rolled_out("statefulset/vtuber-dialog-engine")
    async with aiohttp.ClientSession() as http, http.get(f"http://{place.at}/readyz") as answer:
        assert answer.status == 200


async def test_engines_are_rolled_where_nobody_else_answers(
    namespace: Namespace, release: Release, place: Room
) -> None:
    """Without the legacy chain turns wait for an engine, and not for long."""
    release.upgrade(*engines(2), "--set", "legacy.enabled=false")
    await place.talks_again()
    async with ten_people_talk(place, "rolled-alone", PATIENCE_S):
        await asyncio.to_thread(
            namespace.kubectl, "rollout", "restart", "statefulset/vtuber-dialog-engine"
        )
        await asyncio.to_thread(namespace.rolled_out, "statefulset/vtuber-dialog-engine")

"""Two engines and two output-handlers are rolled while ten people talk: no turn is lost or doubled, no pause longer than a sentence."""

import asyncio
from collections.abc import Callable

from e2e.kind.conversation import Conversation
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.talk import STREAMED, Room, room

PEOPLE = 10
PATIENCE_S = 8.0
TWO_OF_EACH = "dialogEngine.replicas=2,outputHandler.replicas=2"


async def test_every_turn_is_answered_once(namespace: Namespace, release: Callable[..., Release]) -> None:
    release("helm", "--set", f"{STREAMED},legacy.enabled=true,{TWO_OF_EACH}").upgrade()
    first = room(namespace)
    await first.talks_again()
    people = [Conversation(Room(first.at, f"{first.session}-{number}"), pause_s=0.1) for number in range(PEOPLE)]
    talking = [asyncio.create_task(person.hold()) for person in people]
    await asyncio.sleep(3)
    for workload in ("statefulset/vtuber-dialog-engine", "deployment/vtuber-output-handler"):
        await asyncio.to_thread(namespace.kubectl, "rollout", "restart", workload)
        await asyncio.to_thread(namespace.rolled_out, workload)
    await asyncio.sleep(3)
    for person in people:
        person.over = True
    await asyncio.gather(*talking)
    for person in people:
        assert person.lost == []
        assert person.turns == sorted(set(person.turns)), "in order, and none twice"
        known = await person.place.turns()
        assert set(person.turns[-40:]) <= set(known), "history is there, whoever answered"
    turns = [path for person in people for path in person.paths]
    longest = max(person.longest_s for person in people)
    print(f"{len(turns)} turns, {turns.count('legacy')} by the fallback, the longest took {longest:.1f} s")
    assert longest < PATIENCE_S
    assert turns.count("legacy") < len(turns) / 2, "the engines stand in for each other"

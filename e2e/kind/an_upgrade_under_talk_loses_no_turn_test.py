"""`helm upgrade` rolls every service while people talk.

Every turn is answered, in order, and none waits longer than a sentence.
"""

import asyncio
from collections.abc import Callable

from e2e.kind.client import STREAMED, Room, room
from e2e.kind.conversation import Conversation
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

PATIENCE_S = 8.0
"""A turn asked in the middle of the roll.

A sentence's time (1.9 s measured), and what two cores that start twelve pods may add.
"""


async def test_every_turn_is_answered(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    chart = release("helm", "--set", f"{STREAMED},legacy.enabled=true")
    chart.upgrade()
    first = room(namespace)
    await first.talks_again()
    people = [Conversation(Room(first.at, f"{first.session}-{number}")) for number in range(3)]
    talking = [asyncio.create_task(person.hold()) for person in people]
    await asyncio.sleep(2)
    parts = (
        "gateway",
        "inputHandler",
        "outputHandler",
        "dialogEngine",
        "legacy.chatAi",
        "legacy.tts",
        "legacy.memory",
    )
    changed = ",".join(f"{part}.podAnnotations.rolled=again" for part in parts)
    await asyncio.to_thread(chart.upgrade, "--set", changed)
    await asyncio.sleep(2)
    for person in people:
        person.over = True
    await asyncio.gather(*talking)
    for person in people:
        assert (person.lost, person.broken) == ([], [])
        assert len(person.turns) > 5
        assert person.turns == sorted(set(person.turns)), "in order, and none twice"
        known = await person.place.turns()
        assert set(person.turns) <= set(known), "history is there"
    longest = max(person.longest_s for person in people)
    paths = [path for person in people for path in person.paths]
    assert "legacy" in paths, "while there was no engine, the fallback answered"
    print(
        f"{sum(len(person.turns) for person in people)} turns under the upgrade, the longest took {longest:.1f} s"
    )
    assert longest < PATIENCE_S

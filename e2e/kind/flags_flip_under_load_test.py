"""ENABLE_SYNC_CORE goes on and off every 5 s for two minutes while 20 sessions talk.

Nothing lost, doubled, cut off or out of order.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from e2e.harness.clients import watching
from e2e.kind import sessions, timeouts
from e2e.kind.client import Room, room
from e2e.kind.conversation import Conversation
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

SESSIONS = 20
FLIP_EVERY_S = 5.0
FOR_S = 120.0


@pytest.mark.timeout(timeouts.LONG_TEST, func_only=True)
async def test_twenty_sessions_notice_nothing(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", "--set", "operator.enabled=true,legacy.enabled=true").upgrade()
    first = room(namespace)
    await first.talks_again()
    rng = random.Random(5)
    people = [
        Conversation(Room(first.at, f"{first.session}-{number}"), pause_s=rng.uniform(3, 5))
        for number in range(SESSIONS)
    ]
    async with AsyncExitStack() as stack:
        viewers = [
            await stack.enter_async_context(watching(f"ws://{first.at}", person.place.session))
            for person in people
        ]
        talking = [asyncio.create_task(person.hold()) for person in people]
        began, flips = time.monotonic(), 0
        while time.monotonic() - began < FOR_S:
            flips += 1
            wanted = sessions.resource("everyone", "*", {"ENABLE_SYNC_CORE": flips % 2 == 0})
            await asyncio.to_thread(sessions.apply, namespace, wanted)
            await asyncio.sleep(max(0.0, began + flips * FLIP_EVERY_S - time.monotonic()))
        for person in people:
            person.over = True
        await asyncio.gather(*talking)
        paths = [path for person in people for path in person.paths]
        for person, viewer in zip(people, viewers, strict=True):
            assert person.lost == []
            assert person.turns == sorted(set(person.turns)), "in order, and none twice"
            assert not viewer.closed.is_set(), "nobody was disconnected"
            ends = [end["turn"] for end in viewer.of("CONTROL", "END")]
            assert len(ends) == len(set(ends)), "no reply was spoken twice"
            assert ends == sorted(ends)
            assert set(person.turns) <= set(await person.place.turns())
    print(f"{flips} flips, {len(paths)} turns, {paths.count('legacy')} of them by the legacy chain")
    assert min(paths.count("legacy"), paths.count("sync")) > len(paths) / 5, (
        "both paths were on air"
    )
    assert namespace.restarts() == 0

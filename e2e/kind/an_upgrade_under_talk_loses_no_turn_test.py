"""`helm upgrade` rolls every service while people talk: every turn is answered, in order, and none waits for ever."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from e2e.harness import clients
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.talk import STREAMED, Room, room

PATIENCE_S = 25.0
"""A turn asked in the middle of the roll: the old engine's drain, the new pod's start, and the answer (11 to 15 s on two cores)."""


@dataclass
class Conversation:
    """Somebody who says the next thing as soon as the last is answered. Like every client, tries again when told that it may."""

    place: Room
    turns: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    over: bool = False

    async def hold(self) -> None:
        number = 0
        while not self.over:
            number += 1
            began = time.monotonic()
            await self.one(f"what about number {number}?", f"message-{number}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            await asyncio.sleep(0.3)

    async def one(self, content: str, request_id: str) -> None:
        for _ in range(40):
            try:
                answer = await clients.chat(f"http://{self.place.at}", self.place.session, content, request_id=request_id)
            except (OSError, aiohttp.ClientError):
                # The gateway's pod left; the Service knows another.
                await asyncio.sleep(0.5)
                continue
            if answer.status == 200 and answer.events[-1] == "done":
                self.turns.append(answer.turn)
                return
            if answer.status == 200 and answer.events[-1] == "error" and not retryable(answer):
                break
            # Told to come again, or cut off with the gateway's pod: the same requestId is the same turn.
            await asyncio.sleep(0.5)
        self.lost.append(content)


def retryable(answer: clients.Answer) -> bool:
    return bool(json.loads(answer.frames[-1].data)["retryable"])


async def test_every_turn_is_answered(namespace: Namespace, release: Callable[..., Release]) -> None:
    chart = release("helm", "--set", STREAMED)
    chart.upgrade()
    first = room(namespace)
    await first.talks_again()
    people = [Conversation(Room(first.at, f"{first.session}-{number}")) for number in range(3)]
    talking = [asyncio.create_task(person.hold()) for person in people]
    await asyncio.sleep(2)
    parts = ("gateway", "inputHandler", "outputHandler", "dialogEngine")
    changed = ",".join(f"{part}.podAnnotations.rolled=again" for part in parts)
    await asyncio.to_thread(chart.upgrade, "--set", changed)
    await asyncio.sleep(2)
    for person in people:
        person.over = True
    await asyncio.gather(*talking)
    for person in people:
        assert person.lost == []
        assert len(person.turns) > 5
        assert person.turns == sorted(set(person.turns)), "in order, and none twice"
        known = await person.place.turns()
        assert set(person.turns) <= set(known), "history is there"
    longest = max(person.longest_s for person in people)
    print(f"{sum(len(person.turns) for person in people)} turns under the upgrade, the longest took {longest:.1f} s")
    assert longest < PATIENCE_S

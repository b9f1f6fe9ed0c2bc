"""Turns are answered while processes are killed; afterwards every event is accounted for.

The words are those of Jepsen's queue tests. attempted: turns that were asked for. acknowledged: those
whose `done` was received. lost: acknowledged turns without an effect. doubled: events that had their
effect more than once. recovered: turns with an effect whose `done` was not received.
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp
import apsw
from redis.asyncio import Redis

from dialog_contracts import redis_names
from e2e.durability.processes import System

SESSIONS: Final = 16
FLAGS: Final = {"ENABLE_SYNC_CORE": True, "ENABLE_STREAMS_OUTBOX": True}
SETTLE_S: Final = 120.0
PAUSE_S: Final = 0.2
"""Between two turns of a session, so that the kills are spread over the turns that are asked for."""


@dataclass(frozen=True, slots=True)
class Report:
    """Result of one loop."""

    attempted: int
    acknowledged: int
    events: int
    lost: int
    doubled: int
    recovered: int
    unexpected: int
    kills: Mapping[str, int]
    seconds: float


class KillLoop:
    """`turns` are answered in all; at least `kills` processes are killed meanwhile."""

    def __init__(self, folder: Path, *, turns: int, kills: int, seed: int) -> None:
        self._system = System(folder)
        self._turns, self._kills, self._chance = turns, kills, random.Random(seed)
        self._left = turns
        self._attempted: set[tuple[str, int]] = set()
        self._acknowledged: set[tuple[str, int]] = set()
        self._killed: dict[str, int] = {}

    async def run(self) -> Report:
        """Run the loop, wait until nothing is left to deliver, and count."""
        began = time.monotonic()
        await self._system.start()
        try:
            killing = asyncio.create_task(self._kill())
            async with aiohttp.ClientSession() as http:
                await asyncio.gather(
                    *(self._talk(http, f"k{number}") for number in range(SESSIONS))
                )
            await killing
            await self._settle()
        finally:
            await self._system.stop()
        return await self._count(time.monotonic() - began)

    async def _talk(self, http: aiohttp.ClientSession, session: str) -> None:
        turn = 0
        while self._left > 0 or sum(self._killed.values()) < self._kills:
            self._left -= 1
            turn += 1
            while not await self._say(http, session, turn):
                await asyncio.sleep(0.05)
            self._acknowledged.add((session, turn))
            await asyncio.sleep(PAUSE_S)

    async def _say(self, http: aiohttp.ClientSession, session: str, turn: int) -> bool:
        body = {
            "sessionId": session,
            "turn": turn,
            "content": f"message {turn}",
            "meta": {"lang": "en", "requestId": f"{session}-{turn}", "flags": FLAGS},
        }
        self._attempted.add((session, turn))
        try:
            async with (
                asyncio.timeout(20),
                http.post(f"{self._system.engine.url}/chat/stream", json=body) as answer,
            ):
                return b"event: done" in await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _kill(self) -> None:
        system = self._system
        while sum(self._killed.values()) < self._kills:
            pause = max(0.05, (self._chance.random() * 2) * 0.4)
            await asyncio.sleep(pause)
            victim = self._chance.choice((*system.children, None))
            name = victim.name if victim is not None else "valkey"
            self._killed[name] = self._killed.get(name, 0) + 1
            if victim is None:
                system.store.kill()
                await asyncio.sleep(self._chance.random() * 0.5)
                await asyncio.to_thread(system.store.start)
            else:
                victim.kill()
                victim.start()
                await victim.until_alive()

    async def _settle(self) -> None:
        async with aiohttp.ClientSession() as http, asyncio.timeout(SETTLE_S):
            while True:
                try:
                    async with http.get(f"{self._system.engine.url}/outbox") as answer:
                        waiting = (await answer.json())["waiting"]
                    if not waiting and not await self._unapplied():
                        return
                except (aiohttp.ClientError, OSError):
                    pass
                await asyncio.sleep(0.2)

    async def _unapplied(self) -> int:
        left = 0
        async with Redis.from_url(self._system.store.url, decode_responses=True) as redis:
            for stream in redis_names.EVENT_GROUPS:
                for group in await redis.xinfo_groups(stream):
                    left += int(group["pending"]) + int(group.get("lag") or 0)
        return left

    async def _count(self, seconds: float) -> Report:
        engine = apsw.Connection(str(self._system.folder / "engine.db"))
        analytics = apsw.Connection(str(self._system.folder / "analytics.db"))
        sent = {
            str(row[0])
            for row in engine.execute(
                "SELECT eventId FROM outbox_events WHERE stream = ?",
                (redis_names.EVENTS_ANALYTICS,),
            )
        }
        applied = {str(row[0]) for row in analytics.execute("SELECT eventId FROM applied_events")}
        effects = {
            (str(row[0]), int(str(row[1]))): int(str(row[2]))
            for row in analytics.execute("SELECT sessionId, turn, counted FROM turns")
        }
        events = next(iter(engine.execute("SELECT count(*) FROM outbox_events")))[0]
        expected: dict[tuple[str, int], int] = {}
        query = "SELECT payload FROM outbox_events WHERE type = 'AnalyticsChatStats'"
        for (payload,) in engine.execute(query):
            event = json.loads(str(payload))
            key = (event["sessionId"], event["turn"])
            expected[key] = expected.get(key, 0) + 1
        memories = await self._memories()
        engine.close()
        analytics.close()
        lost = {key for key in self._acknowledged if key not in effects or key not in memories}
        doubled = sum(max(0, count - expected.get(key, 0)) for key, count in effects.items()) + sum(
            max(0, count - 1) for count in memories.values()
        )
        return Report(
            attempted=len(self._attempted),
            acknowledged=len(self._acknowledged),
            events=int(str(events)),
            lost=len(lost) + len(sent - applied),
            doubled=doubled,
            recovered=len(set(effects) - self._acknowledged),
            unexpected=len(set(effects) - self._attempted) + len(applied - sent),
            kills=self._killed,
            seconds=round(seconds, 1),
        )

    async def _memories(self) -> dict[tuple[str, int], int]:
        """By turn: how many memories there are of it."""
        self._system.store.start()
        try:
            return await _read_memories(self._system.store.url)
        finally:
            self._system.store.kill()


async def _read_memories(url: str) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    async with Redis.from_url(url, decode_responses=True) as redis:
        for number in range(SESSIONS):
            key = redis_names.user_memories(f"session:k{number}")
            for row in await redis.zrange(key, 0, -1):
                session, _, turn = json.loads(str(row))["metadata"]["correlation_id"].partition("#")
                found[session, int(turn)] = found.get((session, int(turn)), 0) + 1
    return found


def as_json(report: Report) -> str:
    """The report as it is kept."""
    return json.dumps(asdict(report), indent=2) + "\n"

"""What an attack costs.

Memory of every process and of Redis, and turns of somebody who does nothing wrong beside it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil
from redis.asyncio import Redis

from e2e.harness.clients import Answer, chat
from e2e.harness.stack import Stack

LOOK_EVERY_S = 0.1
MB = 2**20


@dataclass(slots=True)
class Cost:
    """Of one attack.

    MB above what there was before it, at the worst moment, of the process that grew most.
    """

    grew_mb: float = 0.0
    grew: str = ""
    redis_mb: float = 0.0
    turns: list[Answer] = field(default_factory=list)

    def take(self, name: str, grown_mb: float) -> None:
        if grown_mb > self.grew_mb:
            self.grew_mb, self.grew = round(grown_mb, 1), name


@asynccontextmanager
async def watched(stack: Stack, session: str) -> AsyncIterator[Cost]:
    """Within the block somebody talks, one turn after another, and memory is looked at."""
    cost, over = Cost(), asyncio.Event()
    redis = Redis.from_url(stack.redis)
    before = _memory(stack)
    redis_before = int((await redis.info("memory"))["used_memory"])

    async def talk() -> None:
        while not over.is_set() or not cost.turns:
            cost.turns.append(await chat(stack.url, session, "Hello there, who are you?"))

    async def look() -> None:
        # Not cancelled: redis-py on Python 3.11 swallows that in the middle of a call now and then.
        while not over.is_set():
            for name, size in _memory(stack).items():
                cost.take(name, (size - before.get(name, size)) / MB)
            used = int((await redis.info("memory"))["used_memory"])
            cost.redis_mb = max(cost.redis_mb, round((used - redis_before) / MB, 1))
            await asyncio.sleep(LOOK_EVERY_S)

    talking, looking = asyncio.create_task(talk()), asyncio.create_task(look())
    try:
        yield cost
    finally:
        over.set()
        try:
            await talking
        finally:
            await looking
            await redis.aclose()


def _memory(stack: Stack) -> dict[str, int]:
    """Bytes of each process of ours, by its service; Valkey's are told by itself."""
    found: dict[str, int] = {}
    for child in psutil.Process(stack.process.pid).children(recursive=True):
        try:
            command = child.cmdline()
            if command and "valkey" not in command[0]:
                found[f"{command[-1]}:{child.pid}"] = child.memory_info().rss
        except psutil.Error:
            continue
    return found

"""People who go on talking while something is done to the cluster."""

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp

from e2e.harness import clients
from e2e.kind.client import Room


@dataclass
class Conversation:
    """Somebody who says the next thing as soon as the last is answered.

    Like every client, tries again when told that it may.
    """

    place: Room
    pause_s: float = 0.3
    turns: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Answers that had begun and ended in an error: no repetition makes up for half a sentence."""

    longest_s: float = 0.0
    over: bool = False

    async def hold(self) -> None:
        """Until `over` is set."""
        number = 0
        while not self.over:
            number += 1
            began = time.monotonic()
            await self.one(f"what about number {number}?", f"message-{number}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            await asyncio.sleep(self.pause_s)

    async def one(self, content: str, request_id: str) -> None:
        """One message, as often as it takes."""
        for _ in range(40):
            try:
                answer = await clients.chat(
                    f"http://{self.place.at}", self.place.session, content, request_id=request_id
                )
            except (OSError, aiohttp.ClientError):
                # The gateway's pod left; the Service knows another.
                await asyncio.sleep(0.5)
                continue
            if answer.status == 200 and answer.events[-1] == "done":
                self.turns.append(answer.turn)
                self.paths.append(answer.stats.get("path") or "sync")
                return
            if answer.status == 200 and answer.events[-1] == "error":
                if "text-delta" in answer.events:
                    self.broken.append(f"{content}: {answer.frames[-1].data}")
                if not _retryable(answer):
                    break
            assert answer.status not in (400, 422), answer.body
            # Told to come again, or cut off with the gateway's pod: the same requestId is the same
            # turn.
            await asyncio.sleep(0.5)
        self.lost.append(content)


def _retryable(answer: clients.Answer) -> bool:
    return bool(json.loads(answer.frames[-1].data)["retryable"])

"""A viewer that stays.

It calls again when its connection ends, and keeps what became of every turn that it saw begin.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.exceptions import WebSocketException

from e2e.harness import clients
from e2e.harness.clients import Viewer
from e2e.kind.client import Room

CALLS_AGAIN_S = 0.1


@dataclass
class Listener:
    """`listen` until cancelled; then `unfinished` and `lost` say what was not whole."""

    place: Room
    connections: list[Viewer] = field(default_factory=list)
    longest_away_s: float = 0.0

    async def listen(self) -> None:
        """One connection after another."""
        left = time.monotonic()
        while True:
            with suppress(OSError, WebSocketException):
                async with clients.watching(f"ws://{self.place.at}", self.place.session) as viewer:
                    self.longest_away_s = max(self.longest_away_s, time.monotonic() - left)
                    self.connections.append(viewer)
                    try:
                        await viewer.closed.wait()
                    finally:
                        left = time.monotonic()
            await asyncio.sleep(CALLS_AGAIN_S)

    @property
    def lost(self) -> list[int]:
        """Turns whose engine was called lost, and of which nothing more came.

        An engine that says nothing for a second is called so. It may have stood still with its machine: then its turn goes on.
        """
        found = []
        for viewer in self.connections:
            present, lost = 0, set[int]()
            for message in viewer.order:
                if isinstance(message, dict) and message.get("code") == "engine_lost":
                    lost.add(present)
                elif isinstance(message, int) or (
                    message.get("turn") and message["type"] != "STATE"
                ):
                    # Sound or words of it, its end, its beginning anew; that nothing sounds is said
                    # of a lost one too.
                    present = message if isinstance(message, int) else message["turn"]
                    lost.discard(present)
            found += sorted(lost)
        return found

    @property
    def unfinished(self) -> list[int]:
        """Turns that began to sound on a connection and came to no end there, although the next turn did not cut them off."""
        found = []
        for viewer in self.connections:
            sounding: int | None = None
            for message in viewer.order:
                if isinstance(message, int):
                    sounding = message
                elif (
                    message.get("action") in ("END", "STOP_ACK", "STOP")
                    and message.get("turn") == sounding
                ):
                    sounding = None
                elif (
                    message.get("action") == "START"
                    and sounding is not None
                    and message["turn"] != sounding
                ):
                    found.append(sounding)
                    sounding = None
        return found

    @property
    def heard_turns(self) -> int:
        """How many turns had sound."""
        return sum(len({chunk.turn for chunk in viewer.chunks}) for viewer in self.connections)

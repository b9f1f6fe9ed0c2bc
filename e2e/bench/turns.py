"""Turns as clients make them, and the moments that matter, in ms."""

import asyncio
import json
import time
import uuid
from collections import deque
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from dialog_contracts.binary import HEADER, MAGIC

TOLD = 4
HEARD_WITHIN_S = 20
"""A turn that was refused is never heard, nor is one whose viewer was too slow and got its captions only: it is not waited for for ever."""


class Unheard(Exception):
    """With what its speaker was told."""


@dataclass
class Talk:
    """One session: a socket that speaks and a socket that listens, both through the gateway."""

    session_id: str
    speaker: ClientConnection
    viewer: ClientConnection
    reading: "asyncio.Task[None]"
    told: "deque[str]"
    """The last that the speaker was told of its turns."""

    @classmethod
    async def open(cls, ws: str, session_id: str) -> "Talk":
        speaker = await connect(
            f"{ws}/ws/input?sessionId={session_id}",
            subprotocols=[Subprotocol("vtuber.v2")],
            compression=None,
            proxy=None,
        )
        viewer = await connect(
            f"{ws}/ws/output/{session_id}",
            subprotocols=[Subprotocol("vtuber.v2.bin")],
            compression=None,
            proxy=None,
        )
        # Unread answers would fill the socket's queue until its keep-alive fails.
        told: deque[str] = deque(maxlen=TOLD)
        return cls(session_id, speaker, viewer, asyncio.create_task(_read(speaker, told)), told)

    async def close(self) -> None:
        await asyncio.gather(self.speaker.close(), self.viewer.close(), self.reading)

    async def first_audio_ms(self, text: str = "how are you today?") -> float:
        """From sending the text to the first audio byte of its turn at the viewer."""
        known = self.turn
        body = {
            "type": "TEXT",
            "content": text,
            "meta": {"requestId": str(uuid.uuid4()), "lang": "en"},
        }
        began = time.perf_counter()
        await self.speaker.send(json.dumps(body))
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                while True:
                    message = await self.viewer.recv()
                    if (
                        isinstance(message, bytes)
                        and message[:2] == MAGIC
                        and (turn := HEADER.unpack_from(message)[3]) > known
                    ):
                        self.turn = turn
                        return (time.perf_counter() - began) * 1000
        except TimeoutError as error:
            raise RuntimeError(
                f"{self.session_id}: nothing was heard for {HEARD_WITHIN_S} s; told: {list(self.told)}"
            ) from error

    turn: int = 0

    async def stop_ms(self) -> float:
        """From STOP on this viewer's socket to the last chunk of its turn that still came.

        0 where none did.
        """
        began = last = time.perf_counter()
        await self.viewer.send(
            json.dumps(
                {
                    "type": "CONTROL",
                    "action": "STOP",
                    "sessionId": self.session_id,
                    "turn": self.turn,
                }
            )
        )
        async with asyncio.timeout(5):
            while True:
                message = await self.viewer.recv()
                if isinstance(message, bytes) and HEADER.unpack_from(message)[3] == self.turn:
                    last = time.perf_counter()
                elif isinstance(message, str) and json.loads(message).get("action") == "STOP_ACK":
                    return (last - began) * 1000

    async def drain(self, seconds: float) -> None:
        """Listen on, as a viewer does, without looking."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.viewer.recv()
        except TimeoutError:
            return


async def _read(socket: ClientConnection, told: deque[str]) -> None:
    async for message in socket:
        told.append(str(message)[:300])

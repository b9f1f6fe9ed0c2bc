"""Clients as people write them.

A caller of POST /chat/stream, and a viewer that keeps what it was sent.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dialog_contracts import binary
from dialog_contracts.sse import SseFrame, SseParser
from e2e import timeouts

TEXT = "Hello there, who are you?"


@dataclass
class Viewer:
    """What came over /ws/output, with the times."""

    socket: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[binary.BinaryChunk] = field(default_factory=list)
    slices: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    order: list[dict[str, Any] | int] = field(default_factory=list)
    """Frames, and the turns of binary chunks, as they came."""
    closed: "asyncio.Event" = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        try:
            async for message in self.socket:
                self.times.append(time.monotonic())
                if isinstance(message, bytes) and self.socket.subprotocol is None:
                    self.slices.append(message)
                elif isinstance(message, bytes):
                    self.chunks.append(binary.unpack(message))
                    self.order.append(self.chunks[-1].turn)
                else:
                    self.frames.append(json.loads(message))
                    self.order.append(self.frames[-1])
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()

    def of(self, kind: str, action: str | None = None) -> list[dict[str, Any]]:
        return [
            frame
            for frame in self.frames
            if frame.get("type") == kind and (action is None or frame.get("action") == action)
        ]

    def seconds_of(self, turn: int) -> float:
        return sum(chunk.duration_ms for chunk in self.chunks if chunk.turn == turn) / 1000

    def phases(self) -> list[str]:
        return [frame["phase"] for frame in self.of("STATE")]

    async def until(
        self, condition: Callable[["Viewer"], object], seconds: float = timeouts.TURN
    ) -> None:
        async with asyncio.timeout(seconds):
            while not condition(self):
                await asyncio.sleep(0.01)

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))


def chunks_after_stop_ack(viewer: Viewer) -> list[int]:
    """Turns of which a chunk came after the end of their own.

    One that the engine withdrew before anything was seen or heard of it may be begun anew by the legacy chain; an interrupted one never.
    """
    over: set[int] = set()
    begun: set[int] = set()
    late = []
    for message in viewer.order:
        if isinstance(message, int):
            late += [message] if message in over else []
            begun.add(message)
        elif message.get("action") == "STOP_ACK":
            over.add(message["turn"])
            if message.get("heardText") is not None:
                begun.add(message["turn"])
        elif message.get("action") == "STOP" or message.get("type") == "TEXT_DELTA":
            begun.add(message["turn"])
        elif (
            message.get("action") == "START"
            and message.get("path") == "legacy"
            and message["turn"] not in begun
        ):
            over.discard(message["turn"])
    return late


@asynccontextmanager
async def watching(
    ws: str, session_id: str, protocol: str | None = "vtuber.v2.bin"
) -> AsyncIterator[Viewer]:
    offered = [Subprotocol(protocol)] if protocol else None
    async with connect(
        f"{ws}/ws/output/{session_id}", subprotocols=offered, compression=None, proxy=None
    ) as socket:
        viewer = Viewer(socket)
        reading = asyncio.create_task(viewer.read())
        # The session is subscribed at the engine a moment after the socket is open.
        await asyncio.sleep(0.1)
        try:
            yield viewer
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@dataclass
class Answer:
    """What POST /chat/stream gave."""

    status: int
    frames: list[SseFrame] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def events(self) -> list[str]:
        return [frame.event for frame in self.frames]

    @property
    def text(self) -> str:
        return "".join(
            json.loads(frame.data)["content"]
            for frame in self.frames
            if frame.event == "text-delta"
        )

    @property
    def stats(self) -> dict[str, Any]:
        """Of `done`."""
        found: dict[str, Any] = json.loads(self.frames[-1].data)["stats"]
        return found

    @property
    def turn(self) -> int:
        return int((self.frames[0].id or "0").split(".")[0])


async def chat(
    url: str, session_id: str, content: str = TEXT, *, request_id: str | None = None, **more: Any
) -> Answer:
    headers = more.pop("headers", {})
    meta = {"requestId": request_id or str(uuid.uuid4()), **more.pop("meta", {})}
    body = {"sessionId": session_id, "content": content, "meta": meta, **more}
    return await post(url, body, headers=headers)


async def post(
    url: str, body: Any, *, path: str = "/chat/stream", headers: dict[str, str] | None = None
) -> Answer:
    data = body if isinstance(body, bytes | AsyncIterator) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    timeout = aiohttp.ClientTimeout(total=timeouts.TURN)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.post(url + path, data=data, headers=sent) as answer,
    ):
        raw = await answer.read()
        if "event-stream" in answer.headers.get("content-type", ""):
            return Answer(answer.status, list(SseParser().feed(raw)), headers=dict(answer.headers))
        return Answer(
            answer.status, body=json.loads(raw) if raw else {}, headers=dict(answer.headers)
        )


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.json(content_type=None)


async def metric(url: str, name: str, **labels: str) -> float | None:
    """The sum of what a service shows at `/metrics` under this name, of all samples that have these labels; None where there is none."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    found = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return sum(found) if found else None

"""A fake gateway for `vtuber say`: one viewer socket and one answer of `/chat/stream`."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from dialog_contracts import binary, sse
from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import End, SpeechChunk, Start
from dialog_contracts.viewer import SUBPROTOCOL_BINARY, Phase, State

SESSION = "live-001"


def start(turn: int) -> str:
    """Return START of a turn."""
    return Start(session_id=SESSION, turn=turn, epoch=1, flags=FlagSet()).to_json()


def end(turn: int, *, voice_follows: bool | None = None) -> str:
    """Return END of a turn."""
    return End(session_id=SESSION, turn=turn, voice_follows=voice_follows).to_json()


def idle(turn: int) -> str:
    """Return STATE with the phase IDLE: nothing of the turn plays."""
    return State(session_id=SESSION, turn=turn, phase=Phase.IDLE, started_at=1.0).to_json()


def chunk(turn: int, seq: int) -> bytes:
    """Return 40 ms of audio; its bytes alternate turn and sequence number."""
    pcm = base64.b64encode(bytes([turn, seq]) * 960).decode()
    return binary.pack(
        SpeechChunk(session_id=SESSION, turn=turn, seq=seq, pcm=pcm, ts=1.0, offset_ms=seq * 40)
    )


@dataclass
class OneTurnGateway:
    """Sends `before` to the viewer, `after` after the request, and `after_stop` after STOP.

    A number among the messages is a pause in seconds.
    """

    before: Sequence[str | bytes | float] = ()
    after: Sequence[str | bytes | float] = ()
    after_stop: Sequence[str | bytes | float] = ()
    events: list[sse.ChatEvent] = field(default_factory=list)
    status: int = 200
    body: bytes = b""
    """If not empty, the body of the answer instead of `events`."""
    request: dict[str, object] = field(default_factory=dict)
    stop: dict[str, object] = field(default_factory=dict)
    """The last message of the viewer."""
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield its URL."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/ws/output/{session}", self._viewer),
                web.post("/chat/stream", self._answered),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _viewer(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL_BINARY,))
        await socket.prepare(request)
        with suppress(ConnectionError):
            await _say(socket, self.before)
            await self._asked.wait()
            await _say(socket, self.after)
            async for message in socket:
                self.stop = json.loads(message.data)
                await _say(socket, self.after_stop)
        return socket

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        self.request = await request.json()
        answer = web.StreamResponse(status=self.status)
        await answer.prepare(request)
        body = b"".join(
            sse.frame(event, f"42.{number}").encode() for number, event in enumerate(self.events, 1)
        )
        first = body.find(b"\n\n") + 2
        await answer.write(self.body or body[:first])
        self._asked.set()
        await asyncio.sleep(0.02)
        if not self.body:
            await answer.write(body[first:])
        return answer


async def _say(socket: web.WebSocketResponse, frames: Sequence[str | bytes | float]) -> None:
    for frame in frames:
        if isinstance(frame, str):
            await socket.send_str(frame)
        elif isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await asyncio.sleep(frame)

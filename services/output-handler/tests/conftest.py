import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from output_handler.hub import Hub
from output_handler.session import Session
from output_handler.viewer import LegacyViewer, Viewer

Sent = list[str | bytes]


@pytest.fixture
def wired() -> Callable[..., Awaitable[WebSocket]]:
    """An accepted WebSocket whose network is a list; while `gate` is shut, the network takes nothing."""

    async def make(sent: Sent, gate: asyncio.Event | None = None) -> WebSocket:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            if gate is not None:
                await gate.wait()
            if message["type"] == "websocket.send":
                sent.append(message["text"] if message.get("text") is not None else message["bytes"])
            elif message["type"] == "websocket.close":
                sent.append(f"closed {message['code']}")

        opened = asyncio.Event() if gate is None else gate
        was_open = opened.is_set()
        opened.set()
        socket = WebSocket({"type": "websocket", "headers": [], "path": "/"}, receive, send)
        await socket.accept()
        if not was_open:
            opened.clear()
        return socket

    return make


@pytest.fixture
async def listen(wired: Callable[..., Awaitable[WebSocket]]) -> AsyncIterator[Callable[..., Awaitable[tuple[Viewer, Sent]]]]:
    """Joins a viewer to a session or a hub and keeps its writer running; gives the viewer and what it was sent."""
    writers: list[asyncio.Task[None]] = []

    async def join(
        to: Session | Hub | None = None,
        *,
        session_id: str = "live-001",
        legacy: bool = False,
        binary: bool = False,
        queue_ms: int = 2_000,
        stuck_s: float = 5.0,
        gate: asyncio.Event | None = None,
    ) -> tuple[Viewer, Sent]:
        sent: Sent = []
        socket = await wired(sent, gate)
        limits: dict[str, Any] = {"queue_ms": queue_ms, "stuck_s": stuck_s}
        viewer = LegacyViewer(socket, session_id, **limits) if legacy else Viewer(socket, session_id, binary=binary, **limits)
        writers.append(asyncio.create_task(viewer.write()))
        if isinstance(to, Session):
            to.join(viewer)
        elif isinstance(to, Hub):
            to.viewer_joined(viewer)
        return viewer, sent

    yield join
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)

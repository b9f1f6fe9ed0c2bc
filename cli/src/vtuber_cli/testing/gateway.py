"""A fake gateway with both sockets: tests send its messages and read what clients sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from dialog_contracts.input_socket import TaskAssigned
from dialog_contracts.viewer import SUBPROTOCOL, SUBPROTOCOL_BINARY


class FakeGateway:
    """Serves one client at `/ws/input` and one viewer at `/ws/output/…`.

    `start` is the client's MIC_START, `audio` its audio.
    """

    def __init__(self) -> None:
        self.paths: list[tuple[str, str | None]] = []
        """Path and subprotocol of each socket."""
        self.start: dict[str, Any] = {}
        self.audio = bytearray()
        self.mic_on = asyncio.Event()
        self.mic_off = asyncio.Event()
        self.viewer: ServerConnection | None = None
        self._viewer_socket: ServerConnection | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield its URL."""
        dialects = [Subprotocol(SUBPROTOCOL_BINARY), Subprotocol(SUBPROTOCOL)]
        async with serve(self._connected, "127.0.0.1", 0, subprotocols=dialects) as server:
            yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def _connected(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append((socket.request.path, socket.subprotocol))
        with suppress(ConnectionClosed):
            if socket.request.path.startswith("/ws/output/"):
                self.viewer = socket
                await socket.wait_closed()
            else:
                self._viewer_socket = socket
                await socket.send(TaskAssigned(task_id="live-001").to_json())
                await self._listen(socket)

    async def _listen(self, socket: ServerConnection) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                self.audio += message
                continue
            frame = json.loads(message)
            if frame["type"] == "MIC_START":
                self.start = frame
                self.mic_on.set()
            elif frame["type"] == "MIC_STOP":
                self.mic_off.set()

    async def understood(self, *frames: str) -> None:
        """Send messages to the client at `/ws/input`."""
        assert self._viewer_socket is not None
        for frame in frames:
            await self._viewer_socket.send(frame)

    async def sounds(self, *frames: str | bytes) -> None:
        """Send messages to the viewer at `/ws/output`."""
        assert self.viewer is not None
        for frame in frames:
            await self.viewer.send(frame)

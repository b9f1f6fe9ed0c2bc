"""Server-Sent Events as a response.

Frames are sent as they are produced, a comment keeps idle proxies from closing the connection, and
a disconnect is noticed at once. This is a class of its own and not sse-starlette because a turn's
first byte waits for everything that is built before it: this one starts fewer tasks, ends with its
source, and lets a rollout finish running requests (ADR 2).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from dialog_contracts.sse import SseFrame

HEARTBEAT_S: Final = 10.0
"""Seconds without a frame after which a comment is sent.

Proxies cut connections that are idle for 30 to 120 s.
"""

_START: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}


class EventStream(Response):
    """The response. `batches` yields frames that are sent together.

    `leave` is called once, however the response ends.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        batches: AsyncIterator[Sequence[SseFrame]],
        leave: Callable[[], Awaitable[object]],
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._batches, self._leave, self._heartbeat_s = batches, leave, heartbeat_s
        self.status_code = 200
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the source ends or the caller disconnects."""
        sending = asyncio.current_task()
        assert sending is not None
        watching = asyncio.create_task(_wait_disconnect(receive, sending))
        beat = asyncio.create_task(self._beat(send))
        try:
            await send(_START)
            async for frames in self._batches:
                self._sent = True
                await send(
                    {
                        "type": "http.response.body",
                        "body": b"".join([f.encode() for f in frames]),
                        "more_body": True,
                    }
                )
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            # The watcher cancelled it when the caller left; otherwise the server is shutting down.
            if not watching.done() or sending.uncancel() > 0:
                raise
        finally:
            watching.cancel()
            beat.cancel()
            await self._leave()

    _sent = False

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if not self._sent:
                await send(
                    {"type": "http.response.body", "body": b": still here\n\n", "more_body": True}
                )
            self._sent = False


async def _wait_disconnect(receive: Receive, sending: "asyncio.Task[object]") -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    sending.cancel()

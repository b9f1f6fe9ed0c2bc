"""A turn's Server-Sent Events as a response, by sse-starlette.

sse-starlette sends frames as they come, a comment every ten seconds so that idle proxies keep the
connection, and ends the source when the caller disconnects. Two things are ours. A rollout must let
running turns finish, so the library's own drain, which ends all streams at SIGTERM, is off; the
service's lifespan and uvicorn's grace period end them instead. And the source is left exactly once,
also when the caller was gone before the first frame.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Self

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.types import Receive, Scope, Send

from dialog_contracts.sse import SseFrame

HEARTBEAT_S: Final = 10.0
"""Seconds between two comments. Proxies cut connections that are idle for 30 to 120 s."""

AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class SseResponse(EventSourceResponse):
    """The response. `batches` yields frames that are sent together, in one write.

    `leave` is called once, however the response ends.
    """

    def __init__(
        self, batches: AsyncIterator[Sequence[SseFrame]], leave: Callable[[], Awaitable[object]]
    ) -> None:
        super().__init__(_Encoded(batches), ping=HEARTBEAT_S, ping_message_factory=_heartbeat)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the source ends or the caller disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._leave()


class _Encoded:
    """The batches as bytes; not a generator, since every frame passes through it."""

    def __init__(self, batches: AsyncIterator[Sequence[SseFrame]]) -> None:
        self._batches = batches

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        frames = await anext(self._batches)
        return b"".join([frame.encode() for frame in frames])


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="still here", sep="\n")

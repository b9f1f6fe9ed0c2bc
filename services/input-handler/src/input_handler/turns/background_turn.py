"""Turns whose caller does not wait: uploads of older clients, recordings. Their answer goes to `/ws/output`, and so must their failure."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ErrorEvent, SseFrame
from input_handler.legacy.client import LegacyClient
from input_handler.turns.turn_service import TurnService


class BackgroundTurns:
    """`begin` a turn, then `finish` it."""

    def __init__(self, caller: TurnService, legacy: LegacyClient) -> None:
        self._turns, self._legacy = caller, legacy

    async def start(
        self, request: ChatRequest, traceparent: str | None, *, client: str | None = None
    ) -> AsyncGenerator[SseFrame, None]:
        """The turn's events once there is one; raises ServiceError when neither path takes it."""
        frames = self._turns.stream(
            request, traceparent=traceparent, whole_file=True, client=client
        )
        return _from(await anext(frames), frames)

    async def run(self, session_id: str, frames: AsyncGenerator[SseFrame, None]) -> None:
        """Follow the turn to its end. Where it ended without a word and nobody else says why, viewers are told here."""
        worded = False
        async with aclosing(frames):
            async for frame in frames:
                worded = worded or frame.event == "text-delta"
                if frame.event == "error" and not worded:
                    event = frame.parse()
                    assert isinstance(event, ErrorEvent)
                    turn, _ = sse.split_event_id(frame.id or "0.0")
                    await self._legacy.publish_failure(
                        session_id, f"{session_id}#{turn}", event.code, event.message, turn or None
                    )


async def _from(
    first: SseFrame, rest: AsyncGenerator[SseFrame, None]
) -> AsyncGenerator[SseFrame, None]:
    """All of them: the first may already be the turn's end, as an error."""
    async with aclosing(rest):
        yield first
        async for frame in rest:
            yield frame

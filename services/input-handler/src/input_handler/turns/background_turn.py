"""Turns whose caller does not wait: uploads of legacy clients, and recordings.

Their answer goes to the viewers at `/ws/output`, and so does their failure.
"""

from contextlib import aclosing

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.model import correlation_id
from dialog_contracts.sse import ErrorEvent
from input_handler.legacy.client import LegacyClient
from input_handler.turns.begun_turn import BegunTurn
from input_handler.turns.turn_service import TurnService


class BackgroundTurns:
    """`start` begins a turn, `run` follows it to its end."""

    def __init__(self, caller: TurnService, legacy: LegacyClient) -> None:
        self._turns, self._legacy = caller, legacy

    async def start(
        self, request: ChatRequest, traceparent: str | None, *, client: str | None = None
    ) -> BegunTurn:
        """Begin the turn. Raises ServiceError where neither path takes it."""
        return await self._turns.begin(
            request, traceparent=traceparent, whole_file=True, client=client
        )

    async def run(self, session_id: str, turn: BegunTurn) -> None:
        """Follow the turn to its end.

        A turn that ends in an error before any text is reported to its viewers.
        """
        worded = False
        async with aclosing(turn):
            async for frame in turn:
                worded = worded or frame.event == "text-delta"
                if frame.event == "error" and not worded:
                    event = frame.parse()
                    assert isinstance(event, ErrorEvent)
                    number, _ = sse.split_event_id(frame.id or "0.0")
                    await self._legacy.publish_failure(
                        session_id,
                        correlation_id(session_id, number),
                        event.code,
                        event.message,
                        number or None,
                    )

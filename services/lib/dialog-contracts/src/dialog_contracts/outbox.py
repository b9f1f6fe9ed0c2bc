"""Events of a turn that the engine's outbox sends to Redis Streams."""

from typing import Any, Literal

from dialog_contracts.model import SessionId, TraceParent, Turn, WireModel


class OutboxEvent(WireModel):
    """One event. `eventId` is a UUIDv7.

    Consumers upsert by (sessionId, turn) and keep the highest revision.
    """

    event_id: str
    correlation_id: str
    session_id: SessionId
    turn: Turn
    type: Literal["LtmWriteRequested", "TurnInterrupted", "AnalyticsChatStats"]
    payload: dict[str, Any]
    ts: int
    traceparent: TraceParent | None = None

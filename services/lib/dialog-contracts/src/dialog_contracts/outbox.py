"""Events of a turn as they leave the engine's outbox for Redis Streams."""

from typing import Any, Literal

from dialog_contracts.model import SessionId, TraceParent, Turn, WireModel


class OutboxEvent(WireModel):
    """`eventId` is a UUIDv7; consumers upsert by (sessionId, turn) and keep the highest revision."""

    event_id: str
    correlation_id: str
    session_id: SessionId
    turn: Turn
    type: Literal["LtmWriteRequested", "TurnInterrupted", "AnalyticsChatStats"]
    payload: dict[str, Any]
    ts: int
    traceparent: TraceParent | None = None

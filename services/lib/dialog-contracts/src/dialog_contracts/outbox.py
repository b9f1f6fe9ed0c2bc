"""Events of a turn that the engine's outbox sends to Redis Streams, and their payloads.

An entry of a stream has the fields `eventId`, `type`, `payload` (the OutboxEvent as JSON) and
`traceparent`. Consumers apply each `eventId` once, and upsert by (sessionId, turn): the highest
revision wins, in any order of arrival.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from dialog_contracts import limits
from dialog_contracts.model import SessionId, ShortText, SnakeModel, TraceParent, Turn, WireModel

MAX_EVENT_BYTES: Final = 256 * 1024
"""Largest event as JSON. The outbox sends none that is larger, and consumers reject it."""

EventId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    ),
]
_Text = Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)]
_Reply = Annotated[str, StringConstraints(max_length=MAX_EVENT_BYTES)]
_Revision = Annotated[int, Field(ge=0, le=1_000)]
_Ms = Annotated[float, Field(ge=0)]


class EventType(StrEnum):
    """Types of events."""

    LTM_WRITE_REQUESTED = "LtmWriteRequested"
    TURN_INTERRUPTED = "TurnInterrupted"
    ANALYTICS_CHAT_STATS = "AnalyticsChatStats"


class OutboxEvent(WireModel):
    """One event, as it is stored in the outbox and in the streams.

    `ts` is in Unix seconds. `epoch` is that of the session's lease: the order of a session's events
    is kept within an epoch.
    """

    event_id: EventId
    correlation_id: Annotated[str, StringConstraints(min_length=3, max_length=160)]
    session_id: SessionId
    turn: Turn
    type: EventType
    payload: dict[str, Any]
    ts: int
    traceparent: TraceParent | None = None
    epoch: int | None = None


class LtmWrite(WireModel):
    """Payload of `LtmWriteRequested`: what was said in a turn.

    `reply` is the played part of an interrupted turn. `vectorize` is ENABLE_LTM of the turn.
    """

    text: _Text
    reply: _Reply
    vectorize: bool
    viewer_id: ShortText | None = None
    lang: ShortText | None = None
    interrupted: bool = False
    revision: _Revision = 0


class TurnInterruption(WireModel):
    """Payload of `TurnInterrupted`: `heardText` replaces the turn's reply."""

    heard_text: _Reply
    text: _Text
    vectorize: bool
    viewer_id: ShortText | None = None
    lang: ShortText | None = None
    revision: _Revision = 0


class ChatStats(SnakeModel):
    """Payload of `AnalyticsChatStats`.

    A turn whose first audio came after its commit has a second event with the missing figures.
    Times are in ms.
    """

    path: Annotated[str, StringConstraints(pattern="^(sync|legacy)$")] = "sync"
    interrupted: bool = False
    revision: _Revision = 0
    ttft_ms: _Ms | None = None
    first_audio_ms: _Ms | None = None
    total_ms: _Ms | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    voice: ShortText | None = None
    llm: ShortText | None = None


PAYLOADS: Final[dict[EventType, type[WireModel]]] = {
    EventType.LTM_WRITE_REQUESTED: LtmWrite,
    EventType.TURN_INTERRUPTED: TurnInterruption,
    EventType.ANALYTICS_CHAT_STATS: ChatStats,
}

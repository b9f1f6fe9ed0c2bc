"""The events of a turn.

A stored turn has `LtmWriteRequested` for long-term memory and `AnalyticsChatStats` for analytics. A
turn without a message of a user, as SAY is, has only the second one. An interrupted turn also has
`TurnInterrupted` for both, and a later revision of a turn has only that.

Every event has all data that its consumer needs, so that consumers may get them in any order. Ids
follow from the turn, so that a turn that two engines store has the same events.
"""

from dialog_contracts import redis_names
from dialog_contracts.event_id import event_id
from dialog_contracts.model import WireModel, correlation_id
from dialog_contracts.outbox import (
    ChatStats,
    EventType,
    LtmWrite,
    OutboxEvent,
    TurnInterruption,
)
from dialog_contracts.sse import DoneStats
from dialog_engine.stored_turn import StoredTurn

StreamEvent = tuple[str, OutboxEvent]
"""The stream and the event."""


def turn_events(stored: StoredTurn) -> list[StreamEvent]:
    """Return the events of a turn, or of a later revision of it; none if it has no events."""
    if not stored.events:
        return []
    ltm, analytics = redis_names.EVENTS_LTM, redis_names.EVENTS_ANALYTICS
    made: list[StreamEvent] = []
    if not stored.revision:
        if stored.user:
            made.append(_event(stored, ltm, EventType.LTM_WRITE_REQUESTED, _written(stored)))
        made.append(_event(stored, analytics, EventType.ANALYTICS_CHAT_STATS, _stats(stored)))
    if stored.interrupted:
        interruption = _interruption(stored)
        if stored.user:
            made.append(_event(stored, ltm, EventType.TURN_INTERRUPTED, interruption))
        made.append(_event(stored, analytics, EventType.TURN_INTERRUPTED, interruption))
    return made


def completed_stats(stored: StoredTurn) -> list[StreamEvent]:
    """Return the event with figures that were not known when the turn was stored."""
    if not stored.events:
        return []
    stream, kind = redis_names.EVENTS_ANALYTICS, EventType.ANALYTICS_CHAT_STATS
    return [_event(stored, stream, kind, _stats(stored), "completed")]


def _event(
    stored: StoredTurn, stream: str, kind: EventType, payload: WireModel, part: str = ""
) -> StreamEvent:
    identity = event_id(
        stored.ts * 1000, stored.session_id, stored.turn, stored.revision, stream, kind, part
    )
    return stream, OutboxEvent(
        event_id=identity,
        correlation_id=correlation_id(stored.session_id, stored.turn),
        session_id=stored.session_id,
        turn=stored.turn,
        type=kind,
        payload=payload.to_wire(),
        ts=stored.ts,
        traceparent=stored.traceparent,
        epoch=stored.epoch,
    )


def _written(stored: StoredTurn) -> LtmWrite:
    return LtmWrite(
        text=stored.user,
        reply=stored.reply,
        vectorize=stored.vectorize,
        viewer_id=stored.viewer_id,
        lang=stored.lang,
        interrupted=stored.interrupted,
        revision=stored.revision,
    )


def _interruption(stored: StoredTurn) -> TurnInterruption:
    return TurnInterruption(
        heard_text=stored.reply,
        text=stored.user,
        vectorize=stored.vectorize,
        viewer_id=stored.viewer_id,
        lang=stored.lang,
        revision=stored.revision,
    )


def _stats(stored: StoredTurn) -> ChatStats:
    known = DoneStats.model_validate_json(stored.stats)
    return ChatStats(
        path=stored.path,
        interrupted=stored.interrupted,
        revision=stored.revision,
        ttft_ms=known.ttft_ms,
        first_audio_ms=known.first_audio_ms,
        total_ms=known.total_ms,
        tokens=known.tokens,
        voice=known.voice,
        llm=known.llm,
    )

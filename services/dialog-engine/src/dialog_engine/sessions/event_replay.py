"""The events of a turn that is only in the database any more."""

from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, TextDeltaEvent
from dialog_engine.memory_shortterm import StoredTurn
from dialog_engine.turn.event_log import EventLog


def rebuild_event_log(stored: StoredTurn) -> EventLog:
    """The log of a turn as it was, but for SPEECH_START, from the lengths of its deltas."""
    events = EventLog(stored.turn)
    events.append(ControlEvent(action="ACCEPTED", session_id=stored.session_id, turn=stored.turn))
    at = 0
    for length in stored.shape:
        piece = stored.reply[at : at + length]
        if piece:
            events.append(TextDeltaEvent(content=piece))
        at += length
    if not stored.interrupted:
        events.append(TextDeltaEvent(content="", eos=True))
    stats = DoneStats.model_validate_json(stored.stats)
    events.append(DoneEvent(stats=stats.model_copy(update={"interrupted": stored.interrupted})))
    return events

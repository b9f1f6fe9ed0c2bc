"""Events of earlier turns, for callers that repeat a message or resume a stream.

The logs of the latest turns are in memory. Those of older turns are rebuilt from the database.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, TextDeltaEvent
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.runner import TurnRunner

MAX_CACHED_EVENTS: Final = 8_192
"""Number of events of all cached logs together, about 4 MB.

Callers come back within seconds; the database has the older turns.
"""


@dataclass(frozen=True, slots=True)
class CachedTurn:
    """A turn that began earlier: it is running, or its log exists."""

    run: TurnRunner | EventLog
    request_id: str | None

    @property
    def events(self) -> EventLog:
        """The events for its callers."""
        return self.run if isinstance(self.run, EventLog) else self.run.events


class CompletedTurns:
    """Cache of the logs of completed turns, in front of the database."""

    def __init__(self, memory: ShortTermMemory) -> None:
        self._memory = memory
        self._logs: OrderedDict[tuple[str, int], CachedTurn] = OrderedDict()
        self._frames = 0

    def add(self, session_id: str, turn: int, log: EventLog, request_id: str | None) -> None:
        """Store the log of a turn that ended with `done`; other turns may be asked again."""
        if not log.done:
            return
        self._drop((session_id, turn))
        self._logs[session_id, turn] = CachedTurn(log, request_id)
        self._frames += len(log.frames)
        while self._frames > MAX_CACHED_EVENTS and len(self._logs) > 1:
            self._drop(next(iter(self._logs)))

    def clear(self) -> None:
        """Forget all logs; those of stored turns are rebuilt."""
        self._logs.clear()
        self._frames = 0

    async def get(self, session_id: str, turn: int) -> CachedTurn | None:
        """Return the turn, or None if nothing of it was stored. Raises apsw.Error."""
        known = self._logs.get((session_id, turn))
        if known is not None:
            return known
        stored = await self._memory.find(session_id, turn)
        if stored is None:
            return None
        self.add(session_id, turn, rebuild_event_log(stored), stored.request_id)
        return self._logs.get((session_id, turn))

    def _drop(self, name: tuple[str, int]) -> None:
        known = self._logs.pop(name, None)
        if known is not None:
            self._frames -= len(known.events.frames)


def rebuild_event_log(stored: StoredTurn) -> EventLog:
    """Return the log as it was, with the same deltas and event ids, but without SPEECH_START."""
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

"""STOP and RESET as texts of a conversation: done at once, and answered like a turn without words."""

import asyncio

from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats
from dialog_engine.feedback import Feedback
from dialog_engine.finished_turns import FinishedTurns
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_shelf import RedisShelf
from dialog_engine.sessions import Session
from dialog_engine.turn.event_log import EventLog
from service_runtime.tasks import TaskOwner


class Commands:
    """Each gives the events for whoever sent it."""

    def __init__(
        self,
        feedback: Feedback,
        memory: ShortTermMemory,
        shelf: RedisShelf,
        finished: FinishedTurns,
        tasks: TaskOwner,
    ) -> None:
        self._feedback, self._memory, self._shelf, self._finished, self._tasks = (
            feedback,
            memory,
            shelf,
            finished,
            tasks,
        )

    def stop(self, request: ChatRequest) -> EventLog:
        """The session's turn, or the one that `meta.turn` names, is interrupted."""
        turn = self._feedback.stop(request.session_id, request.meta.turn, "command")
        return _answered(
            request.session_id, turn or 0, DoneStats(interrupted=turn is not None, turn=turn), turn
        )

    async def reset(self, session: Session, turn: int, request_id: str | None) -> EventLog:
        """Prompts begin anew after this turn, which takes its number."""
        await self._memory.reset(session.session_id, turn)
        session.reset(turn)
        session.number(turn, request_id, asyncio.get_running_loop().time())
        self._tasks.start("reset", self._shelf.note_reset(session.session_id, turn))
        events = _answered(session.session_id, turn, DoneStats(turn=turn), turn)
        self._finished.keep(session.session_id, turn, events, request_id)
        return events


def _answered(session_id: str, number: int, stats: DoneStats, turn: int | None) -> EventLog:
    events = EventLog(number)
    events.append(ControlEvent(action="ACCEPTED", session_id=session_id, turn=turn))
    events.append(DoneEvent(stats=stats))
    return events

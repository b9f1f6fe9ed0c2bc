"""The commands STOP and RESET: executed at once, and answered by a log without text."""

import asyncio

from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.output.inbound import OutputEvents
from dialog_engine.redis_store import EngineStore
from dialog_engine.sessions.completed_turns import CompletedTurns
from dialog_engine.sessions.session import Session
from dialog_engine.turn.event_log import EventLog
from service_runtime.aio.background_tasks import BackgroundTasks


class TurnCommands:
    """Executes commands; each method returns the events for the caller."""

    def __init__(
        self,
        feedback: OutputEvents,
        memory: ShortTermMemory,
        store: EngineStore,
        finished: CompletedTurns,
        tasks: BackgroundTasks,
    ) -> None:
        self._output_events, self._memory, self._store, self._completed, self._tasks = (
            feedback,
            memory,
            store,
            finished,
            tasks,
        )

    def stop(self, request: ChatRequest) -> EventLog:
        """Interrupt the session's turn, or only the turn that `meta.turn` names.

        Raises TurnInProgress if the turn was started without SYNC_TTS_BARGE_IN.
        """
        turn = self._output_events.stop(request.session_id, request.meta.turn, "command")
        return _command_log(
            request.session_id, turn or 0, DoneStats(interrupted=turn is not None, turn=turn), turn
        )

    async def reset(self, session: Session, turn: int, request_id: str | None) -> EventLog:
        """Begin later prompts after `turn`, which is the number of the command itself.

        The reset is durable here when this returns; Redis gets it in the background. Raises
        apsw.Error.
        """
        await self._memory.reset(session.session_id, turn)
        session.reset(turn)
        session.assign_turn(turn, request_id, asyncio.get_running_loop().time())
        self._tasks.start("reset", self._store.save_reset(session.session_id, turn))
        events = _command_log(session.session_id, turn, DoneStats(turn=turn), turn)
        self._completed.add(session.session_id, turn, events, request_id)
        return events


def _command_log(session_id: str, number: int, stats: DoneStats, turn: int | None) -> EventLog:
    events = EventLog(number)
    events.append(ControlEvent(action="ACCEPTED", session_id=session_id, turn=turn))
    events.append(DoneEvent(stats=stats))
    return events

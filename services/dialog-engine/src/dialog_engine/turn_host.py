"""The engine as one turn of one session sees it: implements the TurnHost of `turn/ports.py`."""

from dataclasses import dataclass

from dialog_contracts.http import TurnRecord
from dialog_contracts.ingest import End
from dialog_contracts.legacy_chain import TtsRequest
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.output.registry import OutputHandlers
from dialog_engine.redis_store import ClaimState, EngineStore
from dialog_engine.running_turns import RunningTurns
from dialog_engine.sessions.completed_turns import CompletedTurns
from dialog_engine.sessions.handoff import SessionHandoff
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.sessions.session import Session
from dialog_engine.turn.ports import TurnResult
from dialog_voice.voice import Voice
from service_runtime.aio.background_tasks import BackgroundTasks


@dataclass(frozen=True, slots=True)
class TurnServices:
    """What all turns of an engine share. `voice_files`: whether the legacy pipeline runs."""

    memory: ShortTermMemory
    store: EngineStore
    leases: SessionLeases
    outputs: OutputHandlers
    handoff: SessionHandoff
    completed: CompletedTurns
    running: RunningTurns
    tasks: BackgroundTasks
    voice_files: bool


class EngineTurnHost:
    """Host of one turn: forwards calls to the engine's components and adds the session."""

    def __init__(self, services: TurnServices, session: Session, voice: Voice) -> None:
        self._services, self._session = services, session
        self.memory, self.voice = services.memory, voice
        self.voice_files = services.voice_files

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        """See `EngineStore.claim_reply`."""
        return await self._services.store.claim_reply(correlation_id)

    async def holds_lease(self, epoch: int) -> bool:
        """See `SessionLeases.holds`."""
        return await self._services.leases.holds(self._session.session_id, epoch)

    def publish(self, message: str, droppable: bool) -> None:
        """See `OutputHandlers.publish`."""
        self._services.outputs.publish(self._session.session_id, message, droppable=droppable)

    def add_record(self, record: TurnRecord) -> None:
        """See `Session.add_record`."""
        self._session.add_record(record)

    def drop_record(self, turn: int) -> None:
        """See `Session.drop_record`."""
        self._session.drop_record(turn)

    def on_stored(self) -> None:
        """Publish the session's history; while draining, also release the session."""
        self._services.handoff.on_turn_stored(self._session)

    def enqueue_voice_file(self, request: TtsRequest) -> None:
        """Enqueue the reply for tts, then send END, which says whether a file will come."""
        self._services.tasks.start("voice-file", self._enqueue_voice_file(request))

    def on_ended(self, result: TurnResult) -> None:
        """Release the turn's place, keep its events for later callers, and store its sample."""
        services, session = self._services, self._session
        services.running.ended(result.client)
        if session.running is not None and session.running.events is result.events:
            session.running = None
        services.completed.add(session.session_id, result.turn, result.events, result.request_id)
        if not result.number_used:
            session.release_turn(result.turn, result.request_id)
        services.handoff.on_turn_ended(session)
        if result.sample is not None:
            services.tasks.start("sample", services.store.append_sample(result.sample))

    async def _enqueue_voice_file(self, request: TtsRequest) -> None:
        follows = await self._services.store.enqueue_voice_file(request)
        end = End(
            session_id=request.task_id,
            turn=request.meta.turn or 1,
            audio_ms=0,
            voice_follows=follows or None,
        )
        self._services.outputs.publish(request.task_id, end.to_json(), droppable=False)

"""The engine as one turn of one session sees it: implements the TurnHost of `turn/ports.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import structlog

from dialog_contracts.http import TurnRecord
from dialog_contracts.ingest import End
from dialog_contracts.legacy_chain import TtsRequest
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.outbox.events import StreamEvent, completed_stats
from dialog_engine.output.registry import OutputHandlers
from dialog_engine.redis_store import ClaimState, EngineStore
from dialog_engine.running_turns import RunningTurns
from dialog_engine.sessions.completed_turns import CompletedTurns
from dialog_engine.sessions.handoff import SessionHandoff
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.sessions.session import Session
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.ports import TurnResult
from dialog_sqlite.errors import StoreClosed
from dialog_voice.voice import Voice
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("turn_host")


@dataclass(frozen=True, slots=True)
class TurnServices:
    """What all turns of an engine share.

    `voice_files`: whether the legacy pipeline runs. `pod` is the name of this pod.
    """

    memory: ShortTermMemory
    store: EngineStore
    leases: SessionLeases
    outputs: OutputHandlers
    relay: OutboxRelay
    handoff: SessionHandoff
    completed: CompletedTurns
    running: RunningTurns
    tasks: BackgroundTasks
    voice_files: bool
    pod: str | None = None


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
        """Publish the session's history and events; while draining, also release the session."""
        self._services.relay.wake()
        self._services.handoff.on_turn_stored(self._session)

    def add_late_stats(self, stored: StoredTurn) -> None:
        """See `completed_stats`; if it cannot be stored, analytics lacks the figure."""
        if events := completed_stats(stored):
            self._services.tasks.start("late-stats", self._add_late_stats(events))

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
            age_ms = services.relay.oldest_age_s() * 1000
            update = {"pod": services.pod, "outbox_age_ms": round(age_ms)}
            sample = result.sample.model_copy(update=update)
            services.tasks.start("sample", services.store.append_sample(sample))

    async def _add_late_stats(self, events: Sequence[StreamEvent]) -> None:
        try:
            await self.memory.add_events(events)
        except (apsw.Error, StoreClosed) as error:
            log.warning("late_stats_not_stored", reason=repr(error)[:200])
            return
        self._services.relay.wake()

    async def _enqueue_voice_file(self, request: TtsRequest) -> None:
        follows = await self._services.store.enqueue_voice_file(request)
        end = End(
            session_id=request.task_id,
            turn=request.meta.turn or 1,
            audio_ms=0,
            voice_follows=follows or None,
        )
        self._services.outputs.publish(request.task_id, end.to_json(), droppable=False)

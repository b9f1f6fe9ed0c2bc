"""The service behind `POST /chat/stream`: finds or begins the turn of a request.

input-handler numbers the turns of a session. A request with a new number begins a turn; it
interrupts the running one, because a session has at most one running turn. A request with a known
`requestId` joins the turn that the same message began before, and one with a Last-Event-ID resumes
its events. A number that belongs to another message is rejected with the next free one. The
session's lock is held during this decision, so that concurrent requests cannot begin two turns.

A turn outlives its callers: once it has text, the viewers still play it after the callers have
left. The service therefore keeps running turns in the session, and their events in
`CompletedTurns`.

At shutdown, turns may first finish for `drain_s`. The rest is stopped, stored as played, and
closed. Leases move to other engines before that; see `sessions/handoff.py`. Turns themselves are in
`turn/runner.py`, and messages from viewers arrive in `output/inbound.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from dialog_contracts import limits, redis_names, sse
from dialog_contracts.http import ChatRequest, Command, FlagSet, TurnType
from dialog_contracts.sse import SseFrame
from dialog_engine.errors import TurnInProgress, TurnLost, TurnNumberTaken
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.output.inbound import OutputEvents
from dialog_engine.output.registry import OutputHandlers
from dialog_engine.redis_store import EngineStore
from dialog_engine.running_turns import RunningTurns
from dialog_engine.sessions.commands import TurnCommands
from dialog_engine.sessions.completed_turns import CachedTurn, CompletedTurns
from dialog_engine.sessions.handoff import SessionHandoff
from dialog_engine.sessions.history_sync import HistorySync
from dialog_engine.sessions.leases import SessionLeases
from dialog_engine.sessions.registry import SessionRegistry
from dialog_engine.sessions.session import Session
from dialog_engine.settings import EngineSettings
from dialog_engine.text_source import ReplyTextSource
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.runner import TurnRunner
from dialog_engine.turn_host import EngineTurnHost, TurnServices
from dialog_llm.fallback import FallbackLlm
from dialog_llm.session_models import SessionModels
from dialog_voice.registry import SessionVoices
from dialog_voice.text import language
from service_runtime.aio.background_tasks import BackgroundTasks
from service_runtime.http.errors import Conflict, InvalidField, out_of_reach

log = structlog.get_logger("chat")


class ChatService:
    """Accepts requests for turns and owns all components of the engine.

    `open` is the entry for requests. STOP, PAUSE and positions of viewers come through
    OutputEvents.
    """

    def __init__(
        self,
        settings: EngineSettings,
        memory: ShortTermMemory,
        models: SessionModels,
        voices: SessionVoices,
        store: EngineStore,
        leases: SessionLeases,
        relay: OutboxRelay,
    ) -> None:
        self._settings, self._memory, self._store = settings, memory, store
        self._models, self._voices = models, voices
        self._sessions = SessionRegistry(memory)
        self._history = HistorySync(memory, store)
        self._completed = CompletedTurns(memory)
        self._texts = ReplyTextSource(
            self._history, settings.context_turns, settings.context_tokens
        )
        self._tasks = BackgroundTasks()
        self._leases = leases
        self._handoff = SessionHandoff(self._sessions, leases, self._history, self._tasks)
        self._output_events = OutputEvents(self._sessions, self._publish, self._truncate)
        self._commands = TurnCommands(
            self._output_events, memory, store, self._completed, self._tasks
        )
        self.outputs = OutputHandlers(settings.output_ingest_urls, self._output_events.handlers)
        self._running = RunningTurns(settings.max_running_turns, settings.max_client_turns)
        self._turn_services = TurnServices(
            memory=memory,
            store=store,
            leases=leases,
            outputs=self.outputs,
            relay=relay,
            handoff=self._handoff,
            completed=self._completed,
            running=self._running,
            tasks=self._tasks,
            voice_files=settings.legacy_enabled,
            pod=settings.pod_name,
        )

    def start(self) -> None:
        """Connect to the output-handlers and begin to renew leases."""
        self._tasks.start("counters", self._store.expire_counters())
        self.outputs.start(self._tasks)
        self._handoff.start()

    def start_draining(self) -> None:
        """Begin the handoff of sessions at SIGTERM, while requests are still running."""
        self._handoff.start_draining()

    def busy_reason(self) -> str | None:
        """Return why the database cannot be replaced now, or None."""
        running = len(self._sessions.running())
        return f"{running} turns are running" if running else None

    async def reload_sessions(self) -> None:
        """Forget what memory has of the database, and publish the sessions that it has now.

        Raises apsw.Error.
        """
        self._sessions.forget_idle()
        self._completed.clear()
        for session_id in reversed(await self._memory.session_ids(redis_names.MAX_SESSIONS)):
            async with self._sessions.checkout(session_id) as session:
                await self._history.publish(session)

    async def close(self) -> None:
        """Let running turns finish for `drain_s`, stop and store the others, then end all tasks."""
        if self._settings.drain_s:
            await self._drain()
        runners = self._sessions.running()
        for runner in runners:
            runner.stop("shutdown")
        await asyncio.gather(*(runner.wait_committed() for runner in runners))
        await asyncio.gather(*(runner.close() for runner in runners))
        await self._tasks.close()

    async def _drain(self) -> None:
        log.info("draining", turns=self._running.total, seconds=self._settings.drain_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._running.wait_idle()

    @asynccontextmanager
    async def open(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None
    ) -> AsyncIterator[AsyncIterator[list[SseFrame]]]:
        """Yield the events of the request's turn, from the first or after `last_event_id`.

        Leaving the context tells the turn that this caller has left.

        Raises InvalidField, Conflict for an unknown event or a number out of reach,
        TurnNumberTaken, TurnLost, TurnInProgress, TooManyTurns, ClientBusy, NotLeaseHolder,
        Draining, and apsw.Error.
        """
        after = self._parse_last_event_id(request, last_event_id)
        async with self._sessions.checkout(request.session_id) as session:
            async with session.lock:
                found = await self._find_or_begin(
                    session, request, traceparent, resuming=last_event_id is not None
                )
            if isinstance(found, EventLog):
                yield found.follow(after)
                return
            if after >= len(found.events.frames) and not found.events.closed:
                why = (
                    f"Last-Event-ID: event {after} of turn {found.request.turn} does not exist yet"
                )
                raise Conflict(why, code="unknown_event", field="Last-Event-ID")
            found.callers += 1
            try:
                # The turn's first messages and its model request are sent before the caller reads.
                await asyncio.sleep(0)
                yield found.events.follow(after)
            finally:
                found.callers -= 1
                found.caller_left()

    @staticmethod
    def _parse_last_event_id(request: ChatRequest, last_event_id: str | None) -> int:
        if last_event_id is None:
            return -1
        try:
            _, number = sse.split_event_id(last_event_id)
        except ValueError as error:
            raise InvalidField(f"Last-Event-ID: {error}", field="Last-Event-ID") from error
        return number

    async def _find_or_begin(
        self, session: Session, request: ChatRequest, traceparent: str | None, *, resuming: bool
    ) -> TurnRunner | EventLog:
        if request.type is TurnType.COMMAND and request.content == Command.STOP:
            if session.running is None:
                # The turn may run in the engine with the lease: acquire raises NotLeaseHolder then.
                await self._leases.acquire(session.session_id)
            return self._commands.stop(request)
        if request.turn is None:
            raise InvalidField(
                "turn: this request has no number; input-handler assigns them", field="turn"
            )
        turn, request_id = request.turn, request.meta.request_id
        # A turn that runs here is followed here, even if another engine has the lease by now.
        known_turn = session.requests.get(request_id) if request_id is not None else None
        if known_turn is not None or turn <= session.last_turn:
            known = await self._find_existing(session, known_turn or turn)
            if known is None and resuming:
                raise _turn_lost_error(turn)
            if (
                known is None
                or known.request_id != request_id
                or (request_id is None and not resuming)
            ):
                free = session.last_turn + 1 if session.last_turn < limits.MAX_TURN else None
                raise TurnNumberTaken(
                    f"turn {turn} of this session belongs to another message", next_turn=free
                )
            return known.run
        epoch = await self._leases.acquire(session.session_id)
        if resuming:
            raise _turn_lost_error(turn)
        if request.meta.known_turn is not None:
            last = max(request.meta.known_turn, session.last_turn)
            if turn > last + limits.MAX_TURN_AHEAD:
                raise out_of_reach(turn, last)
        running = session.running
        self._running.check_client(
            request.meta.client, replaces=running.request.client if running is not None else None
        )
        self._interrupt_running_turn(session)
        if request.type is TurnType.COMMAND and request.content == Command.RESET:
            return await self._commands.reset(session, turn, request_id)
        self._running.check_total()
        await self._history.import_missing(session, turn)
        return self._begin(session, request, turn, traceparent, epoch)

    async def _find_existing(self, session: Session, turn: int) -> CachedTurn | None:
        runner = session.running
        if runner is not None and runner.request.turn == turn:
            return CachedTurn(runner, runner.request.request_id)
        return await self._completed.get(session.session_id, turn)

    def _interrupt_running_turn(self, session: Session) -> None:
        """Stop the running turn, if any; its played text is in the session when this returns.

        Raises TurnInProgress if it was started without SYNC_TTS_BARGE_IN.
        """
        runner = session.running
        if runner is None or runner.machine.over:
            return
        if not runner.request.flags.SYNC_TTS_BARGE_IN:
            raise TurnInProgress(f"turn {runner.request.turn} is still speaking", retry_after_s=1)
        runner.stop("new_turn")

    def _begin(
        self, session: Session, request: ChatRequest, turn: int, traceparent: str | None, epoch: int
    ) -> TurnRunner:
        model = self._models.for_session(request.session_id)
        said = request.meta.text if request.type is TurnType.COMMAND else None
        user_text = "" if said is not None else request.content
        turn_request = TurnRequest(
            session_id=request.session_id,
            turn=turn,
            user_text=user_text,
            request_id=request.meta.request_id,
            flags=request.meta.flags or FlagSet(),
            lang=request.meta.lang or language.detect(said or user_text, model.lang),
            traceparent=traceparent,
            text=self._texts.for_turn(session, model, user_text, said),
            epoch=epoch,
            llm=model.llm.in_use if said is None and isinstance(model.llm, FallbackLlm) else None,
            client=request.meta.client,
            viewer_id=request.meta.viewer_id,
        )
        host = EngineTurnHost(
            self._turn_services, session, self._voices.for_session(request.session_id)
        )
        runner = TurnRunner(turn_request, host)
        self._running.started(turn_request.client)
        session.assign_turn(turn, turn_request.request_id, asyncio.get_running_loop().time())
        session.running = runner
        runner.begin()
        return runner

    def _truncate(self, session_id: str, turn: int, played_text: str) -> None:
        self._tasks.start(
            "cut",
            self._history.truncate_turn(
                session_id, turn, played_text, self._sessions.find(session_id)
            ),
        )

    def _publish(self, session_id: str, frame: str) -> None:
        self.outputs.publish(session_id, frame)


def _turn_lost_error(turn: int) -> TurnLost:
    return TurnLost(
        f"turn {turn} was lost with its engine before it was stored; send the message again",
        field="Last-Event-ID",
    )

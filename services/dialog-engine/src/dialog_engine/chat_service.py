"""Sessions and their turns: takes a request, finds or begins its turn, gives the log of its events. At most one turn a session speaks."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from dialog_contracts import limits, sse
from dialog_contracts.http import ChatRequest, Command, FlagSet, TurnType
from dialog_contracts.ingest import End
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.samples import TurnSample
from dialog_contracts.sse import SseFrame
from dialog_engine.commands import Commands
from dialog_engine.errors import Busy, ClientBusy, TooManyTurns, TurnLost, TurnTaken
from dialog_engine.feedback import Feedback
from dialog_engine.finished_turns import FinishedTurns, Known
from dialog_engine.hand_over import HandOver
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.outputs import Outputs
from dialog_engine.ownership import Ownership
from dialog_engine.redis_shelf import RedisShelf
from dialog_engine.sessions import Session, Sessions
from dialog_engine.settings import EngineSettings
from dialog_engine.shared_history import SharedHistory
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.order import TurnOrder, TurnParts
from dialog_engine.turn.runner import TurnRunner
from dialog_engine.turn_texts import TurnTexts
from dialog_llm.brains import Brains
from dialog_llm.chain import LlmChain
from dialog_voice import language
from dialog_voice.voice import Voice
from dialog_voice.voices import Voices
from service_runtime.errors import Conflict, InvalidField, out_of_reach
from service_runtime.tasks import TaskOwner

log = structlog.get_logger("chat")


class ChatService:
    """The engine's one service object. `open` is the only way in for turns; what comes back for them is `Feedback`'s."""

    def __init__(
        self,
        settings: EngineSettings,
        memory: ShortTermMemory,
        brains: Brains,
        voices: Voices,
        shelf: RedisShelf,
        ownership: Ownership,
    ) -> None:
        self._settings, self._memory, self._shelf = settings, memory, shelf
        self._brains, self._voices = brains, voices
        self._sessions = Sessions(memory)
        self._history = SharedHistory(memory, shelf)
        self._finished = FinishedTurns(memory)
        self._texts = TurnTexts(self._history, settings.context_turns)
        self._tasks = TaskOwner()
        self._ownership = ownership
        self._hand_over = HandOver(self._sessions, ownership, self._history, self._tasks)
        self._feedback = Feedback(self._sessions, self._publish, self._cut)
        self._commands = Commands(self._feedback, memory, shelf, self._finished, self._tasks)
        self.outputs = Outputs(settings.output_ingest_urls, self._feedback.hooks)
        self._running = 0
        self._of_client: Counter[str] = Counter()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def start(self) -> None:
        """Connect to the output-handlers, and keep the leases of sessions in use."""
        self._tasks.start("counters", self._shelf.expire_counters())
        self.outputs.start(self._tasks)
        self._hand_over.start()

    def leave(self) -> None:
        """The process was told to end, while requests still run."""
        self._hand_over.leave()

    async def close(self) -> None:
        """Let turns that still speak come to their end for `drain_s`, stop the rest (what was heard is stored), then everything else."""
        if self._settings.drain_s:
            await self._drain()
        runners = self._sessions.running()
        for runner in runners:
            runner.stop("shutdown")
        await asyncio.gather(*(runner.settled() for runner in runners))
        await asyncio.gather(*(runner.close() for runner in runners))
        await self._tasks.close()

    async def _drain(self) -> None:
        log.info("draining", turns=self._running, seconds=self._settings.drain_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._quiet.wait()

    @asynccontextmanager
    async def open(
        self, request: ChatRequest, last_event_id: str | None, traceparent: str | None
    ) -> AsyncIterator[AsyncIterator[list[SseFrame]]]:
        """The events of the request's turn from its first, or after `last_event_id`; leaving the context is the caller leaving.

        Raises InvalidField, TurnTaken, TurnLost, Busy, TooManyTurns, ClientBusy.
        """
        after = self._after(request, last_event_id)
        async with self._sessions.use(request.session_id) as session:
            async with session.lock:
                found = await self._find_or_begin(
                    session, request, traceparent, resuming=last_event_id is not None
                )
            if isinstance(found, EventLog):
                yield found.follow(after)
                return
            if after >= len(found.events.frames) and not found.events.closed:
                why = f"Last-Event-ID: event {after} of turn {found.order.turn} is yet to come"
                raise Conflict(why, code="unknown_event", field="Last-Event-ID")
            found.callers += 1
            try:
                # What the turn has begun goes before what its caller reads.
                await asyncio.sleep(0)
                yield found.events.follow(after)
            finally:
                found.callers -= 1
                found.caller_left()

    @staticmethod
    def _after(request: ChatRequest, last_event_id: str | None) -> int:
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
                # Whoever has the session stops it.
                await self._ownership.own(session.session_id)
            return self._commands.stop(request)
        if request.turn is None:
            raise InvalidField(
                "turn: input-handler numbers turns; this request has none", field="turn"
            )
        turn, request_id = request.turn, request.meta.request_id
        # A turn that is spoken here is followed here to its end, wherever the session is by then.
        known_turn = session.requests.get(request_id) if request_id is not None else None
        if known_turn is not None or turn <= session.last_turn:
            known = await self._known(session, known_turn or turn)
            if known is None and resuming:
                raise _lost(turn)
            if (
                known is None
                or known.request_id != request_id
                or (request_id is None and not resuming)
            ):
                free = session.last_turn + 1 if session.last_turn < limits.TURN_MAX else None
                raise TurnTaken(
                    f"turn {turn} of this session is taken by another message", next_turn=free
                )
            return known.run
        epoch = await self._ownership.own(session.session_id)
        if resuming:
            raise _lost(turn)
        if request.meta.known_turn is not None:
            last = max(request.meta.known_turn, session.last_turn)
            if turn > last + limits.TURN_REACH:
                raise out_of_reach(turn, last)
        self._check_client(session, request.meta.client)
        self._interrupt(session)
        if request.type is TurnType.COMMAND and request.content == Command.RESET:
            return await self._commands.reset(session, turn, request_id)
        if self._running >= self._settings.max_running_turns:
            raise TooManyTurns(
                f"{self._settings.max_running_turns} turns at once is the limit", retry_after_s=1
            )
        await self._history.adopt(session, turn)
        return self._begin(session, request, turn, traceparent, epoch)

    async def _known(self, session: Session, turn: int) -> Known | None:
        runner = session.running
        if runner is not None and runner.order.turn == turn:
            return Known(runner, runner.order.request_id)
        return await self._finished.find(session.session_id, turn)

    def _check_client(self, session: Session, client: str | None) -> None:
        """Whether this client may have one more turn; the one that this turn cuts off is none any more."""
        if client is None:
            return
        limit = self._settings.max_client_turns
        cut_off = session.running is not None and session.running.order.client == client
        if self._of_client[client] - cut_off >= limit:
            raise ClientBusy(
                f"{limit} turns at once is the limit of a client address",
                limit=limit,
                retry_after_s=1,
            )

    def _interrupt(self, session: Session) -> None:
        """Make room for a new turn. What was heard of the old one is in the session's memory when this returns."""
        runner = session.running
        if runner is None or runner.machine.over:
            return
        if not runner.order.flags.SYNC_TTS_BARGE_IN:
            raise Busy(f"turn {runner.order.turn} is still speaking", retry_after_s=1)
        runner.stop("new_turn")

    def _begin(
        self, session: Session, request: ChatRequest, turn: int, traceparent: str | None, epoch: int
    ) -> TurnRunner:
        brain = self._brains.of(request.session_id)
        said = request.meta.text if request.type is TurnType.COMMAND else None
        user_text = "" if said is not None else request.content
        order = TurnOrder(
            session_id=request.session_id,
            turn=turn,
            user_text=user_text,
            request_id=request.meta.request_id,
            flags=request.meta.flags or FlagSet(),
            lang=request.meta.lang or language.guess(said or user_text, brain.lang),
            traceparent=traceparent,
            text=self._texts.of(session, brain, user_text, said),
            epoch=epoch,
            llm=brain.llm.in_use if said is None and isinstance(brain.llm, LlmChain) else None,
            client=request.meta.client,
        )
        runner = TurnRunner(order, self._parts(session, self._voices.of(request.session_id)))
        self._running += 1
        if order.client is not None:
            self._of_client[order.client] += 1
        self._quiet.clear()
        session.number(turn, order.request_id, asyncio.get_running_loop().time())
        session.running = runner
        runner.begin()
        return runner

    def _parts(self, session: Session, voice: Voice) -> TurnParts:
        def publish(frame: str, droppable: bool) -> None:
            self.outputs.publish(session.session_id, frame, droppable=droppable)

        def stored() -> None:
            self._hand_over.stored(session)

        async def ours(epoch: int) -> bool:
            return await self._ownership.certain(session.session_id, epoch)

        def ended(runner: TurnRunner, sample: TurnSample | None) -> None:
            self._running -= 1
            if not self._running:
                self._quiet.set()
            if (client := runner.order.client) is not None:
                self._of_client[client] -= 1
                if not self._of_client[client]:
                    del self._of_client[client]
            if session.running is runner:
                session.running = None
            self._finished.keep(
                session.session_id, runner.order.turn, runner.events, runner.order.request_id
            )
            if not runner.may_be_stored:
                session.free(runner.order.turn, runner.order.request_id)
            self._hand_over.ended(session)
            if sample is not None:
                self._tasks.start("sample", self._shelf.add_sample(sample))

        def whole_file(request: TtsRequest) -> None:
            self._tasks.start("voice-file", self._ask_for_voice(request))

        return TurnParts(
            memory=self._memory,
            voice=voice,
            claim=self._shelf.claim_reply,
            ours=ours,
            publish=publish,
            remember=session.remember,
            forget=session.forget,
            stored=stored,
            whole_file=whole_file if self._settings.legacy_enabled else None,
            ended=ended,
        )

    def _cut(self, session_id: str, turn: int, heard: str) -> None:
        self._tasks.start(
            "cut", self._history.cut(session_id, turn, heard, self._sessions.find(session_id))
        )

    def _publish(self, session_id: str, frame: str) -> None:
        self.outputs.publish(session_id, frame)

    async def _ask_for_voice(self, request: TtsRequest) -> None:
        follows = await self._shelf.ask_for_voice(request)
        frame = End(
            session_id=request.task_id,
            turn=request.meta.turn or 1,
            audio_ms=0,
            voice_follows=follows or None,
        )
        self.outputs.publish(request.task_id, frame.to_json(), droppable=False)


def _lost(turn: int) -> TurnLost:
    return TurnLost(
        f"turn {turn} was lost with its engine before it was stored; send the message again",
        field="Last-Event-ID",
    )

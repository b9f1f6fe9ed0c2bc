"""Carries out what the turn machine decides: the model's task, the voice, the commits, the frames for viewers."""

import asyncio
from contextlib import aclosing
from typing import Final, Literal

import structlog

from dialog_contracts.ingest import Played
from dialog_contracts.sse import ChatEvent, ControlEvent, DoneEvent, TextDeltaEvent
from dialog_engine.speech.chunks import Chunk
from dialog_engine.tts_streamer import LOOK_AGAIN_MS, SpeechHooks, TtsStreamer
from dialog_engine.turn import actions, frames
from dialog_engine.turn.captions import Captions
from dialog_engine.turn.claim import TurnClaim
from dialog_engine.turn.clock import TurnClock
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.keeper import TurnKeeper
from dialog_engine.turn.machine import Text, TurnMachine, Voice
from dialog_engine.turn.order import TurnOrder, TurnParts
from dialog_engine.turn.owner import TurnOwner
from dialog_engine.turn.report import TurnReport
from dialog_engine.turn.trace import TurnTrace
from dialog_engine.turn.weak_call import weakly
from dialog_llm.errors import LlmError
from dialog_llm.provider import Ended, Thinking
from dialog_telemetry import metrics
from service_runtime.tasks import TaskOwner

log = structlog.get_logger("turn")

DONE_WAITS_FOR_AUDIO_S: Final = 2.0
"""`done` carries the time of the first audio; a voice later than this does not hold it up."""


THINKING_EVERY_MS: Final = 1_000.0


class TurnRunner:
    """One running turn. `begin` starts it; it ends by itself, whatever fails in it."""

    def __init__(self, order: TurnOrder, parts: TurnParts) -> None:
        self.order, self._parts = order, parts
        self.events = EventLog(order.turn)
        self._clock, self._trace = TurnClock(), TurnTrace(order)
        self.machine = TurnMachine(turn=order.turn, voiced=order.flags.SYNC_TTS_STREAMING)
        self.callers = 0
        self._claim = TurnClaim(order.correlation_id, parts.claim)
        self._owner = TurnOwner(self.machine, self.events, weakly(self._carry_out))
        self._tasks = TaskOwner(weakly(self._owner.task_over))
        self._thought_at = -THINKING_EVERY_MS
        self._model: asyncio.Task[None] | None = None
        self._keeper = TurnKeeper(order, parts, self._tasks)
        self._captions = Captions(lambda *said: parts.publish(frames.caption(order, *said), False))
        hooks = SpeechHooks(
            weakly(self._send_chunk), weakly(self._first_audio), weakly(self._all_sent)
        )
        self._speech = (
            TtsStreamer(parts.voice, order.lang, hooks, self._clock.ms)
            if order.flags.SYNC_TTS_STREAMING
            else None
        )
        self._report = TurnReport(order, parts, self.machine, self._speech, self._clock.ms)

    def begin(self) -> None:
        """Announce the turn and start the model."""
        metrics.TURNS_RUNNING.inc()
        try:
            self._trace.run(self._begin)
        # The owner of the turn: it ends, whatever it was.
        except Exception as error:  # noqa: BLE001
            self._owner.break_off("begin", error)

    def _begin(self) -> None:
        self._trace.begin()
        # First in the loop's queue: the model, and then the claim, are asked while the others are told.
        self._model = self._tasks.start("model", self._run_model())
        self._parts.publish(self.start_frame(), False)
        self.events.append(
            ControlEvent(action="ACCEPTED", session_id=self.order.session_id, turn=self.order.turn)
        )
        if self._speech is not None:
            self._speech.start()

    def start_frame(self) -> str:
        """START, also for an output-handler that subscribes in mid-turn."""
        sounding = self._speech is not None and self.machine.first_audio_ms is not None
        ear_ms = self._speech.ear_ms if self._speech is not None and sounding else None
        return frames.start(self.order, self._trace.traceparent, ear_ms)

    def text_frame(self) -> str:
        """The text so far as one caption."""
        ended = self.machine.text not in (Text.WAITING, Text.STREAMING)
        return frames.caption(self.order, self.machine.reply, 0, ended)

    @property
    def written(self) -> bool:
        """The text is complete and stored, or never will be."""
        return self.machine.text in (Text.DONE, Text.FAILED, Text.CANCELLED) or self.stored

    @property
    def sounding(self) -> bool:
        """Its voice is not over."""
        return self.machine.voice is not Voice.OVER

    @property
    def may_be_stored(self) -> bool:
        """It is durable, or will be: its number is taken."""
        return self._keeper.may_be_stored

    @property
    def stored(self) -> bool:
        """It is durable."""
        return self._keeper.stored

    def stop(self, reason: str) -> bool:
        """Interrupt; false when nothing was going on."""
        heard = (
            self.machine.reply[: self._speech.heard_until()]
            if self._speech is not None
            else self.machine.reply
        )
        decided = self.machine.stop(heard, reason)
        if decided:
            self._trace.run(log.info, "turn_stopped", reason=reason, heard_chars=len(heard))
            self._trace.run(self._owner.apply, decided)
            if self._claim.state is None:
                # Stopped before its first word: its caller may be about to give it to the other path, which would speak it all the same.
                self._tasks.start("claim", self._claim.take())
        return bool(decided)

    def hold(self, action: Literal["PAUSE", "RESUME"]) -> bool:
        """Let the ear stand still, or go on; false where there is no voice, or nothing to do."""
        if self._speech is None or self.machine.voice is Voice.OVER:
            return False
        self._trace.run(log.info, "turn_paused" if action == "PAUSE" else "turn_resumed")
        return self._speech.hold(action)

    def played(self, frame: Played, source: object) -> None:
        """Viewers of one output-handler have heard up to here."""
        if self._speech is not None:
            self._speech.played(
                frame.offset_ms, source, speaker=bool(frame.speaker), viewers=frame.viewers or 1
            )

    def caller_left(self) -> None:
        """One caller less; without any, a turn that has not begun to answer is cancelled."""
        if self.callers == 0:
            claimed = self._claim.certain or self._claim.state is None
            self._trace.run(self._owner.apply, self.machine.caller_left(claimed=claimed))

    def session_lost(self) -> None:
        """Another engine has the session now."""
        self._trace.run(self._owner.apply, self.machine.session_lost())

    async def settled(self) -> None:
        """Wait until every commit so far is durable."""
        await self._keeper.settled()

    async def close(self) -> None:
        """End everything at once; the service is going down."""
        self._clock.end()
        if self._speech is not None:
            await self._speech.close()
        await self._tasks.close()

    async def _run_model(self) -> None:
        try:
            async with aclosing(self.order.text()) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Thinking):
                        self._note_thinking()
                        continue
                    if isinstance(piece, Ended):
                        self.machine.cut(piece.reason)
                        continue
                    if self._claim.state is None:
                        if not await self._claim.take():
                            self._owner.apply(self.machine.claim_lost())
                            return
                        if not self._claim.certain:
                            self._tasks.start("claim", self._settle_claim())
                    decided = self.machine.delta(piece, self._clock.ms())
                    self._owner.apply(decided)
                    if any(isinstance(action, actions.Say) for action in decided):
                        # A model that answers from memory never waits: the voice gets its turn on the loop here.
                        await asyncio.sleep(0)
            self._owner.apply(self.machine.model_ended())
            self._report.written()
        except LlmError as error:
            log.warning("model_failed", code=error.code, reason=error.reason)
            self._owner.apply(
                self.machine.model_failed(
                    error.code, "the language model cannot answer now", retryable=error.retryable
                )
            )

    def _note_thinking(self) -> None:
        """Before the first word somebody waits for it, and must know that it comes."""
        now = self._clock.ms()
        if self.machine.text is Text.WAITING and now - self._thought_at >= THINKING_EVERY_MS:
            self._thought_at = now
            self.events.thinking()

    async def _settle_claim(self) -> None:
        if not await self._claim.settle():
            self._owner.apply(self.machine.claim_lost())

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.Emit(event):
                self._emit(event)
            case actions.Caption(content, start, eos):
                self._captions.add(content, start, eos)
            case actions.Say(fragment):
                if self._speech is not None:
                    self._speech.say(fragment)
            case actions.NoMoreToSay():
                if self._speech is not None:
                    self._speech.no_more()
            case actions.Commit():
                self._keeper.keep(self._report.to_store(action), self._kept)
            case actions.CancelModel():
                self._cancel_model()
            case actions.CancelVoice():
                if self._speech is not None:
                    self._speech.cancel()
                    self._tasks.start("hush", self._speech.close())
            case actions.SendEnd():
                self._captions.flush()
                self._send_end()
            case actions.SendStopAck(heard):
                self._captions.drop()
                self._parts.publish(frames.stop_ack(self.order, heard), False)
            case actions.Finish():
                self._end(action)

    def _emit(self, event: ChatEvent) -> None:
        if isinstance(event, DoneEvent):
            event = DoneEvent(stats=self._report.stats(event.stats))
        self.events.append(event)
        if (
            isinstance(event, TextDeltaEvent)
            and self.machine.deltas == 1
            and self.machine.ttft_ms is not None
        ):
            metrics.TURN_TTFT.observe(self.machine.ttft_ms / 1000)

    def _cancel_model(self) -> None:
        if self._model is not None and self._model is not asyncio.current_task():
            self._model.cancel()

    def _kept(self, problem: str | None) -> None:
        if problem is not None:
            self._owner.apply(self.machine.commit_failed(problem))
            return
        self._owner.apply(self.machine.committed())
        # In case the first chunk never comes: `done` has waited long enough then.
        self._clock.later(
            DONE_WAITS_FOR_AUDIO_S, lambda: self._owner.apply(self.machine.audio_time_unknown())
        )

    def _send_chunk(self, chunk: Chunk) -> None:
        self._parts.publish(frames.chunk(self.order, chunk), True)

    def _first_audio(self) -> None:
        self._captions.flush()
        self._owner.apply(self.machine.first_audio(self._clock.ms()))
        if self.machine.first_audio_ms is not None:
            metrics.TURN_FIRST_AUDIO.observe(self.machine.first_audio_ms / 1000)

    def _all_sent(self) -> None:
        self._owner.apply(self.machine.voice_sent())

    def _send_end(self) -> None:
        assert self._speech is not None
        self._parts.publish(frames.end(self.order, self._speech.audio_ms), False)
        self._until_heard()

    def _until_heard(self) -> None:
        """The end of what was sent reaches the ear later than was thought when it is paused."""
        assert self._speech is not None
        remaining = self._speech.remaining_ms()
        if remaining > 0:
            self._clock.later(max(remaining, LOOK_AGAIN_MS) / 1000, self._until_heard)
        else:
            self._owner.apply(self.machine.played_out())

    def _end(self, finish: actions.Finish) -> None:
        metrics.TURNS_RUNNING.dec()
        metrics.TURNS.labels(path="sync", outcome=finish.outcome).inc()
        sample = None
        try:
            self._tell_the_end(finish)
            sample = self._report.sample(finish, self._trace.traceparent)
        finally:
            if not self.events.closed:
                self.events.close()
            self._parts.ended(self, sample)

    def _tell_the_end(self, finish: actions.Finish) -> None:
        self._clock.end()
        # Its last error, if it was cancelled, holds this turn.
        self._model = None
        if self._speech is None and finish.outcome == "completed":
            self._captions.flush()
            if self._parts.whole_file is not None:
                self._parts.whole_file(
                    frames.voice_request(self.order, self.machine.reply, self._trace.traceparent)
                )
            else:
                self._parts.publish(frames.end(self.order, 0), False)
        self._report.ended(finish)
        self._trace.end(finish.outcome)

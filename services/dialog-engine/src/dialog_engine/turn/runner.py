"""Runs one turn: feeds its state machine and executes the machine's actions.

`begin` announces the turn to callers and viewers and starts a task that reads the reply. Before the
first text the engine acquires the reply claim, so that the legacy pipeline does not answer as well.
Deltas go to the state machine; its actions send events and captions, pass fragments to the TTS
streamer, and commit the turn. The turn ends by itself when its text is stored and its audio has
been played, and then reports to its host once.

Inputs come from several tasks, from timers and from other components: a stop, a caller that leaves,
a lost lease. All of them run on the event loop, and no method of the machine waits, so no lock is
needed. They run in the turn's context, so that log lines and spans belong to this turn.

Callbacks of components to the turn are weak (`weak_callback.py`), and references to finished tasks
are dropped: finished turns are freed without the cyclic garbage collector.

Decisions are in `state_machine.py`, errors of actions in `action_executor.py`, commits in
`committer.py`, and audio in `tts_streamer.py`.
"""

import asyncio
from contextlib import aclosing
from typing import Final, Literal

import structlog

from dialog_contracts.ingest import Played
from dialog_contracts.sse import ChatEvent, ControlEvent, DoneEvent, TextDeltaEvent
from dialog_engine.speech.chunker import AudioChunk
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.tts_streamer import MIN_POLL_MS, SpeechHooks, TtsStreamer
from dialog_engine.turn import actions, output_messages
from dialog_engine.turn.action_executor import ActionExecutor
from dialog_engine.turn.caption_batcher import CaptionBatcher
from dialog_engine.turn.committer import TurnCommitter
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.ports import TurnHost, TurnResult
from dialog_engine.turn.reply_claim import ReplyClaim
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.state_machine import AudioState, TextState, TurnStateMachine
from dialog_engine.turn.telemetry import TurnContext, TurnTelemetry
from dialog_engine.turn.timers import TurnTimers
from dialog_engine.weak_callback import weak_callback
from dialog_llm.errors import LlmError
from dialog_llm.provider import Ended, Thinking
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("turn")

DONE_AUDIO_WAIT_S: Final = 2.0
"""Seconds for which `done` waits for the first audio after the commit, to report its time."""


THINKING_INTERVAL_MS: Final = 1_000.0


class TurnRunner:
    """One running turn. `begin` starts it, and it ends by itself, also after internal errors.

    `callers` is the number of connected callers.
    """

    def __init__(self, request: TurnRequest, host: TurnHost) -> None:
        self.request, self._host = request, host
        self.events = EventLog(request.turn)
        self._timers, self._context = TurnTimers(), TurnContext(request)
        self.machine = TurnStateMachine(turn=request.turn, voiced=request.flags.SYNC_TTS_STREAMING)
        self.callers = 0
        self._claim = ReplyClaim(request.correlation_id, host.claim_reply)
        self._executor = ActionExecutor(self.machine, self.events, weak_callback(self._execute))
        self._tasks = BackgroundTasks(weak_callback(self._executor.on_task_ended))
        self._thinking_reported_at = -THINKING_INTERVAL_MS
        self._model: asyncio.Task[None] | None = None
        self._committer = TurnCommitter(request, host, self._tasks)
        self._captions = CaptionBatcher(
            lambda *said: host.publish(output_messages.caption(request, *said), False)
        )
        hooks = SpeechHooks(
            weak_callback(self._send_chunk),
            weak_callback(self._first_audio),
            weak_callback(self._all_sent),
        )
        self._speech = (
            TtsStreamer(host.voice, request.lang, hooks, self._timers.elapsed_ms)
            if request.flags.SYNC_TTS_STREAMING
            else None
        )
        self._telemetry = TurnTelemetry(
            request, host, self.machine, self._speech, self._timers.elapsed_ms
        )

    def begin(self) -> None:
        """Announce the turn and start the model."""
        metrics.TURNS_RUNNING.inc()
        try:
            self._context.run(self._begin)
        # The boundary of a turn: any error ends it properly.
        except Exception as error:  # noqa: BLE001
            self._executor.fail_turn("begin", error)

    def _begin(self) -> None:
        self._context.begin()
        # The model's task starts first, so that the request is on its way while the turn is
        # announced.
        self._model = self._tasks.start("model", self._run_model())
        self._host.publish(self.start_message(), False)
        self.events.append(
            ControlEvent(
                action="ACCEPTED", session_id=self.request.session_id, turn=self.request.turn
            )
        )
        if self._speech is not None:
            self._speech.start()

    def start_message(self) -> str:
        """Return START, also for an output-handler that subscribes during the turn."""
        playing = self._speech is not None and self.machine.first_audio_ms is not None
        position_ms = self._speech.position_ms if self._speech is not None and playing else None
        return output_messages.start(self.request, self._context.traceparent, position_ms)

    def text_message(self) -> str:
        """Return the text so far as one caption."""
        ended = self.machine.text not in (TextState.WAITING, TextState.STREAMING)
        return output_messages.caption(self.request, self.machine.reply, 0, ended)

    @property
    def text_settled(self) -> bool:
        """Whether the text is stored, or never will be."""
        return (
            self.machine.text in (TextState.DONE, TextState.FAILED, TextState.CANCELLED)
            or self.stored
        )

    @property
    def playing(self) -> bool:
        """Whether the audio has not ended."""
        return self.machine.audio is not AudioState.DONE

    @property
    def is_number_used(self) -> bool:
        """Whether the turn is stored or being stored: no other message may get its number."""
        return self._committer.is_number_used

    @property
    def stored(self) -> bool:
        """Whether the turn is durable."""
        return self._committer.stored

    def stop(self, reason: str) -> bool:
        """Interrupt the turn; return False if nothing was running."""
        played = (
            self.machine.reply[: self._speech.played_text_end()]
            if self._speech is not None
            else self.machine.reply
        )
        decided = self.machine.stop(played, reason)
        if decided:
            self._context.run(log.info, "turn_stopped", reason=reason, heard_chars=len(played))
            self._context.run(self._executor.apply, decided)
            if self._claim.state is None:
                # Stopped before the first text. The claim prevents that the caller's fallback still
                # answers the turn.
                self._tasks.start("claim", self._claim.acquire())
        return bool(decided)

    def set_paused(self, action: Literal["PAUSE", "RESUME"]) -> bool:
        """Pause or resume playback; False if there is no audio or it already is in this state."""
        if self._speech is None or self.machine.audio is AudioState.DONE:
            return False
        self._context.run(log.info, "turn_paused" if action == "PAUSE" else "turn_resumed")
        return self._speech.set_paused(action)

    def report_position(self, frame: Played, source: object) -> None:
        """Store the position of the viewers of one output-handler."""
        if self._speech is not None:
            self._speech.report_position(
                frame.offset_ms, source, speaker=bool(frame.speaker), viewers=frame.viewers or 1
            )

    def caller_left(self) -> None:
        """Handle that a caller has left; `callers` is reduced before.

        Without any caller, a turn that has no text yet is cancelled.
        """
        if self.callers == 0:
            claimed = self._claim.acquired or self._claim.state is None
            self._context.run(self._executor.apply, self.machine.caller_left(claimed=claimed))

    def session_lost(self) -> None:
        """End the turn, because another engine has acquired the session's lease."""
        self._context.run(self._executor.apply, self.machine.session_lost())

    async def wait_committed(self) -> None:
        """Wait until the last commit so far has ended."""
        await self._committer.wait_idle()

    async def close(self) -> None:
        """End everything at once at shutdown."""
        self._timers.close()
        if self._speech is not None:
            await self._speech.close()
        await self._tasks.close()

    async def _run_model(self) -> None:
        try:
            async with aclosing(self.request.text()) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Thinking):
                        self._report_thinking()
                        continue
                    if isinstance(piece, Ended):
                        self.machine.model_truncated(piece.reason)
                        continue
                    if self._claim.state is None:
                        if not await self._claim.acquire():
                            self._executor.apply(self.machine.claim_lost())
                            return
                        if not self._claim.acquired:
                            self._tasks.start("claim", self._resolve_claim())
                    decided = self.machine.delta(piece, self._timers.elapsed_ms())
                    self._executor.apply(decided)
                    if any(isinstance(action, actions.Synthesize) for action in decided):
                        # A model whose data is already there never waits: let the voice's task run.
                        await asyncio.sleep(0)
            self._executor.apply(self.machine.model_ended())
            self._telemetry.text_completed()
        except LlmError as error:
            log.warning("model_failed", code=error.code, reason=error.reason)
            self._executor.apply(
                self.machine.model_failed(
                    error.code, "the language model cannot answer now", retryable=error.retryable
                )
            )

    def _report_thinking(self) -> None:
        """Report thinking to the callers before the first text, at most once a second.

        They would otherwise take the silence for a failure.
        """
        now = self._timers.elapsed_ms()
        if (
            self.machine.text is TextState.WAITING
            and now - self._thinking_reported_at >= THINKING_INTERVAL_MS
        ):
            self._thinking_reported_at = now
            self.events.thinking()

    async def _resolve_claim(self) -> None:
        if not await self._claim.resolve():
            self._executor.apply(self.machine.claim_lost())

    def _execute(self, action: actions.Action) -> None:
        match action:
            case actions.EmitEvent(event):
                self._emit(event)
            case actions.SendCaption(content, start, eos):
                self._captions.add(content, start, eos)
            case actions.Synthesize(fragment):
                if self._speech is not None:
                    self._speech.enqueue(fragment)
            case actions.EndSynthesis():
                if self._speech is not None:
                    self._speech.end_input()
            case actions.Commit():
                self._committer.commit(self._stored_turn(action), self._on_committed)
            case actions.CancelModel():
                self._cancel_model()
            case actions.CancelSynthesis():
                if self._speech is not None:
                    self._speech.cancel()
                    self._tasks.start("close_speech", self._speech.close())
            case actions.SendEnd():
                self._captions.flush()
                self._send_end()
            case actions.SendStopAck(played_text):
                self._captions.discard()
                self._host.publish(output_messages.stop_ack(self.request, played_text), False)
            case actions.Finish():
                self._end(action)

    def _stored_turn(self, commit: actions.Commit) -> StoredTurn:
        return self._telemetry.stored_turn(commit, self._context.traceparent)

    def _emit(self, event: ChatEvent) -> None:
        if isinstance(event, DoneEvent):
            event = DoneEvent(stats=self._telemetry.stats(event.stats))
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

    def _on_committed(self, problem: str | None) -> None:
        if problem is not None:
            self._executor.apply(self.machine.commit_failed(problem))
            return
        self._executor.apply(self.machine.committed())
        # `done` waits no longer than this for the first chunk.
        self._timers.call_later(
            DONE_AUDIO_WAIT_S, lambda: self._executor.apply(self.machine.audio_time_unknown())
        )

    def _send_chunk(self, chunk: AudioChunk) -> None:
        self._host.publish(output_messages.chunk(self.request, chunk), True)

    def _first_audio(self) -> None:
        self._captions.flush()
        self._executor.apply(self.machine.first_audio(self._timers.elapsed_ms()))
        if self.machine.first_audio_ms is not None:
            metrics.TURN_FIRST_AUDIO.observe(self.machine.first_audio_ms / 1000)

    def _all_sent(self) -> None:
        self._executor.apply(self.machine.voice_sent())

    def _send_end(self) -> None:
        assert self._speech is not None
        self._host.publish(output_messages.end(self.request, self._speech.audio_ms), False)
        self._wait_played_out()

    def _wait_played_out(self) -> None:
        """Finish the audio when it has been played; check again if a pause has moved the time."""
        assert self._speech is not None
        remaining = self._speech.remaining_ms()
        if remaining > 0:
            self._timers.call_later(max(remaining, MIN_POLL_MS) / 1000, self._wait_played_out)
        else:
            self._executor.apply(self.machine.played_out())

    def _end(self, finish: actions.Finish) -> None:
        metrics.TURNS_RUNNING.dec()
        metrics.TURNS.labels(path="sync", outcome=finish.outcome).inc()
        sample = None
        try:
            self._publish_end(finish)
            sample = self._telemetry.sample(finish, self._context.traceparent)
            if self.stored and (late := self._telemetry.late_stats()) is not None:
                self._host.add_late_stats(late)
        finally:
            if not self.events.closed:
                self.events.close()
            self._host.on_ended(
                TurnResult(
                    turn=self.request.turn,
                    request_id=self.request.request_id,
                    client=self.request.client,
                    events=self.events,
                    number_used=self.is_number_used,
                    sample=sample,
                )
            )

    def _publish_end(self, finish: actions.Finish) -> None:
        self._timers.close()
        # The exception of a cancelled task would keep this turn in memory.
        self._model = None
        if self._speech is None and finish.outcome == "completed":
            self._captions.flush()
            if self._host.voice_files:
                self._host.enqueue_voice_file(
                    output_messages.voice_request(
                        self.request, self.machine.reply, self._context.traceparent
                    )
                )
            else:
                self._host.publish(output_messages.end(self.request, 0), False)
        self._telemetry.ended(finish)
        self._context.end(finish.outcome)

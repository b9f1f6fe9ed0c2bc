"""The life of a session's present turn as a state machine without I/O and without a clock.

Frames of engines, requests of viewers and timers go in with their time in ms; a list of actions
comes out, which the session carries out in order. The machine owns the present turn; nothing else
writes to it.

A turn has three states that move independently. `source`: its audio comes from an engine, or from
a file of the legacy pipeline. `delivery`: it is open, has ended (END), is being stopped (STOP, and
the engine's STOP_ACK is awaited), or is stopped. `engine`: frames arrive, may only be late, or
will not arrive any more. A pause is no state of delivery: it stops the turn's clock.

What holds, whatever comes in which order (see `state_machine_test.py`): nothing of a turn follows its
STOP_ACK; a turn ends once; a pause ends; `startedAt` of a turn never goes back.
"""

from typing import Final, Literal

from dialog_contracts.ingest import End, PlaybackControl, Start, Stop, StopAck, TextDelta
from dialog_contracts.viewer import Phase, ViewerError
from output_handler.errors import BARGE_IN_OFF, BargeInOff
from output_handler.playback.actions import (
    Action,
    AwaitFile,
    Broadcast,
    CancelIdle,
    CancelPauseEnd,
    CountGap,
    CountPause,
    FlushViewers,
    Log,
    MeasureStop,
    OpenTurn,
    PublishStop,
    ReportPlayedText,
    ScheduleIdle,
    SchedulePauseEnd,
    SendAudio,
    SendError,
    SendPhase,
    SendReply,
    SendToEngine,
)
from output_handler.playback.turn import (
    AudioFrame,
    AudioSource,
    Delivery,
    EngineState,
    PlaybackTurn,
)

INTERRUPTED_PHASE_S: Final = 0.8
"""How long viewers see INTERRUPTED before the session is idle."""

PauseAction = Literal["PAUSE", "RESUME"]


class PlaybackState:
    """The machine of one session. `files`: whether the legacy pipeline can send voice files."""

    def __init__(self, session_id: str, *, files: bool) -> None:
        self._session_id, self._files = session_id, files
        self.turn = PlaybackTurn.none()
        self.epoch = 0

    # Frames of an engine.

    def is_stale(self, start: Start) -> bool:
        """Whether a START comes from an earlier lease holder, or is of an earlier turn."""
        if start.epoch != self.epoch:
            return start.epoch < self.epoch
        return start.turn < self.turn.number

    def start(self, frame: Start, now_ms: float) -> list[Action]:
        """START: a turn begins, or an engine that has reconnected announces it again."""
        turn = self.turn
        if self.is_stale(frame):
            return [Log("stale_start", "warning", {"turn": frame.turn, "epoch": frame.epoch})]
        if frame.turn == turn.number:
            if turn.interrupted:
                # It fell back, or moved, while it was being stopped: no path may begin it anew.
                self.epoch = frame.epoch
                return [Log("stopped_turn_restarted", "warning", {"path": frame.path})]
            if turn.source is not AudioSource.ENGINE or frame.epoch == self.epoch:
                # Viewers know it already. A turn that a file plays is not the engine's any more.
                return self._announced_again(now_ms)
        actions: list[Action] = []
        if turn.source is AudioSource.FILE_AWAITED:
            actions += self.finish(
                End(session_id=self._session_id, turn=turn.number, audio_ms=0), now_ms
            )
        elif turn.source is AudioSource.FILE and turn.playing(now_ms):
            actions += self._stop_file("new_turn", now_ms, known=False)
        self.epoch = frame.epoch
        return [*actions, *self._open(frame, now_ms, AudioSource.ENGINE)]

    def chunk(self, turn: int, sound: AudioFrame, now_ms: float) -> list[Action]:
        """A chunk of the present turn; of any other turn it is dropped."""
        present = self.turn
        if turn != present.number or present.delivery is not Delivery.OPEN:
            return []
        missing = present.check_sequence(sound.seq)
        if missing < 0:
            return []
        actions: list[Action] = []
        if missing:
            why = f"{missing} chunks of turn {turn} are missing"
            actions += [
                CountGap(missing),
                Log("chunk_gap", "warning", {"missing": missing, "seq": sound.seq}),
                Broadcast(ViewerError(code="chunk_gap", message=why).to_json()),
            ]
        moved = present.schedule(sound.offset_ms, sound.duration_ms, now_ms)
        if moved:
            actions.append(SendPhase(Phase.SPEAKING, turn, present.audio_started_at_ms or now_ms))
        present.buffer(sound, now_ms)
        actions.append(SendAudio(sound))
        if moved and sound.seq > 0:
            actions.append(Log("clock_moved", fields={"offset_ms": sound.offset_ms}))
        elif moved:
            after = round(now_ms - present.opened_at_ms, 1)
            actions.append(Log("speech_started", fields={"after_ms": after}))
        return actions

    def caption(self, frame: TextDelta, raw: str) -> list[Action]:
        """A piece of the reply; `raw` is its JSON."""
        turn = self.turn
        if frame.turn != turn.number or turn.stopped:
            return []
        # After a reconnect the text so far comes again from its beginning.
        turn.text = turn.text[: frame.text_start] + frame.content
        turn.text_ended = frame.eos
        return [Broadcast(raw)]

    def end(self, frame: End, raw: str, now_ms: float) -> list[Action]:
        """END of an engine: all was sent, or the audio follows as a file."""
        turn = self.turn
        if turn.delivery is not Delivery.OPEN:
            return []
        if frame.voice_follows and self._files:
            turn.source = AudioSource.FILE_AWAITED
            return [AwaitFile()]
        return self.finish(frame, now_ms, raw=raw)

    def stop_ack(self, frame: StopAck, raw: str, now_ms: float) -> list[Action]:
        """STOP_ACK: the engine has stopped, because it was told to or for a new turn."""
        turn = self.turn
        if turn.delivery is Delivery.STOPPED:
            return []
        actions: list[Action] = []
        silent = turn.audio_started_at_ms is None and not turn.text
        if turn.stop_asked_at_ms is not None:
            actions.append(MeasureStop(now_ms - turn.stop_asked_at_ms))
        elif not turn.stopped and not silent:
            # The engine stopped by itself: viewers still hold audio of this turn.
            actions += self._flush("engine", now_ms)
        actions += self._complete(frame, raw)
        return [*actions, ScheduleIdle(0 if silent else INTERRUPTED_PHASE_S)]

    def engine_lost(self, now_ms: float, *, for_good: bool) -> list[Action]:
        """No frame arrives from the engine of the present turn; what was sent still plays."""
        turn = self.turn
        if (
            turn.delivery is not Delivery.OPEN
            or turn.source is not AudioSource.ENGINE
            or turn.engine is EngineState.LOST
        ):
            return []
        first = turn.engine is EngineState.ALIVE
        turn.engine = EngineState.LOST if for_good else EngineState.SUSPECT
        actions: list[Action] = []
        if first:
            message = "the connection to the engine broke in mid-turn"
            actions.append(SendError(ViewerError(code="engine_lost", message=message)))
        return [*actions, *self._idle_when_played(now_ms)]

    def engine_back(self, now_ms: float) -> list[Action]:
        """A frame of the present turn has arrived: its engine is not lost, or was only late."""
        return [] if self.turn.engine is EngineState.ALIVE else self._recovered(now_ms)

    def moved(self, now_ms: float) -> list[Action]:
        """Another engine holds the lease from now on: the turn of the one before is stopped."""
        turn = self.turn
        if turn.source is not AudioSource.ENGINE or not turn.playing(now_ms):
            return []
        ack = StopAck(session_id=self._session_id, turn=turn.number)
        return [
            SendToEngine(self._stop_message("moved").to_json()),
            *self._flush("moved", now_ms),
            *self._complete(ack, ack.to_json()),
        ]

    # Requests of viewers, of other services, and of other output-handlers.

    def stop(self, turn: int | None, reason: str, now_ms: float) -> list[Action]:
        """STOP of this turn, or of whichever plays. Empty where nothing plays.

        Raises BargeInOff.
        """
        present = self.turn
        if not present.playing(now_ms) or turn not in (None, present.number):
            return []
        self._check_barge_in()
        stopped = Log("stopped", fields={"reason": reason})
        if present.source is not AudioSource.ENGINE:
            # The message names the turn as it was before it was stopped.
            message = self._stop_message(reason)
            return [stopped, *self._stop_file(reason, now_ms, known=False), PublishStop(message)]
        present.stop_asked_at_ms, present.interrupted = now_ms, True
        return [
            stopped,
            SendToEngine(self._stop_message(reason).to_json()),
            *self._flush(reason, now_ms),
        ]

    def file_stopped(self, stop: Stop, now_ms: float) -> list[Action]:
        """Another output-handler has stopped its copy of the file that plays here."""
        turn = self.turn
        if turn.source is AudioSource.ENGINE or not turn.playing(now_ms):
            return []
        if not turn.flags.SYNC_TTS_BARGE_IN or stop.turn not in (None, turn.number):
            return []
        return self._stop_file(stop.reason or "elsewhere", now_ms, known=True)

    def request_pause(self, action: PauseAction, turn: int | None, now_ms: float) -> list[Action]:
        """PAUSE or RESUME. Empty where there is nothing to do. Raises BargeInOff."""
        present = self.turn
        if not present.playing(now_ms) or turn not in (None, present.number):
            return []
        self._check_barge_in()
        if present.source is not AudioSource.ENGINE:
            return []
        return self._pause_everywhere(action, now_ms)

    def apply_pause(self, action: PauseAction, now_ms: float) -> list[Action]:
        """The engine tells that another output-handler has paused or resumed the turn."""
        turn = self.turn
        if turn.paused is (action == "PAUSE") or turn.stopped:
            return []
        actions: list[Action] = [
            CountPause(action),
            Log("paused" if action == "PAUSE" else "resumed"),
        ]
        if action == "PAUSE":
            turn.clock.pause(now_ms)
            actions += [CancelIdle(), SchedulePauseEnd()]
        else:
            turn.clock.resume(now_ms)
            actions.append(CancelPauseEnd())
        actions.append(Broadcast(self._pause_message(action)))
        if action == "RESUME":
            if turn.audio_started_at_ms is not None:
                actions.append(SendPhase(turn.phase, turn.number, turn.audio_started_at_ms))
            if turn.ended:
                actions += self._idle_when_played(now_ms)
        return actions

    # Timers.

    def pause_timed_out(self, now_ms: float) -> list[Action]:
        """Resume a pause that was not ended in time."""
        resumed = self._pause_everywhere("RESUME", now_ms)
        return [Log("pause_timed_out", "warning"), *resumed] if resumed else []

    def idle(self) -> None:
        """The turn has died away."""
        self.turn.phase = Phase.IDLE
        self.turn.recent.clear()

    # Files of the legacy pipeline.

    def open_file(self, start: Start, text: TextDelta, now_ms: float) -> list[Action]:
        """A turn of the legacy pipeline begins: its whole text, and a file that follows."""
        return [
            *self._open(start, now_ms, AudioSource.FILE),
            *self.caption(text, text.to_json()),
        ]

    def take_file(self, duration_ms: int = 0) -> None:
        """The file of the present turn is there, 0 ms if its audio is missing.

        Legacy viewers get it as a whole.
        """
        self.turn.source, self.turn.replied = AudioSource.FILE, True
        self.turn.file_ms = duration_ms

    def abandon(self, now_ms: float) -> list[Action]:
        """Nothing more comes of a turn that an engine had announced."""
        if self.turn.delivery is Delivery.OPEN:
            self.turn.delivery = Delivery.ABANDONED
        return self._idle_when_played(now_ms)

    def finish(self, frame: End, now_ms: float, *, raw: str | None = None) -> list[Action]:
        """All of the present turn was sent; `raw` is the JSON of its END."""
        turn = self.turn
        if turn.delivery is not Delivery.OPEN:
            return []
        turn.delivery = Delivery.ENDED
        if turn.source is AudioSource.FILE_AWAITED:
            turn.source = AudioSource.FILE
        return [
            Broadcast(raw or frame.to_json()),
            *self._reply(),
            Log("turn_sent", fields={"audio_ms": frame.audio_ms}),
            *self._idle_when_played(now_ms),
        ]

    # The rest is private.

    def _open(self, start: Start, now_ms: float, source: AudioSource) -> list[Action]:
        turn = self.turn = PlaybackTurn.from_start(start, now_ms, source)
        return [
            CancelIdle(),
            CancelPauseEnd(),
            OpenTurn(start),
            Broadcast(turn.start_json),
            SendPhase(Phase.THINKING, turn.number, now_ms),
            Log("turn_started"),
        ]

    def _announced_again(self, now_ms: float) -> list[Action]:
        turn = self.turn
        if turn.source is not AudioSource.ENGINE or turn.stopped:
            return []
        if turn.delivery is Delivery.ABANDONED:
            turn.delivery = Delivery.OPEN
        return [] if turn.engine is EngineState.ALIVE else self._recovered(now_ms)

    def _recovered(self, now_ms: float) -> list[Action]:
        turn = self.turn
        if turn.delivery is not Delivery.OPEN:
            return []
        turn.engine = EngineState.ALIVE
        actions: list[Action] = [CancelIdle()]
        if turn.audio_started_at_ms is None and turn.phase is Phase.IDLE:
            turn.phase = Phase.THINKING
            actions.append(SendPhase(Phase.THINKING, turn.number, now_ms))
        return [*actions, Log("turn_resumed_by_engine")]

    def _stop_file(self, reason: str, now_ms: float, *, known: bool) -> list[Action]:
        # The legacy pipeline knows no STOP: what was played of its file is known here alone, unless
        # another output-handler has reported it already (`known`).
        turn = self.turn
        played = turn.played_text(now_ms)
        message = self._stop_message(reason)
        ack = StopAck(session_id=self._session_id, turn=turn.number, heard_text=played)
        actions = [*self._flush(reason, now_ms), *self._complete(ack, ack.to_json())]
        if not known:
            actions.append(ReportPlayedText(message.model_copy(update={"heard_text": played})))
        return actions

    def _flush(self, reason: str, now_ms: float) -> list[Action]:
        turn = self.turn
        turn.delivery, turn.phase = Delivery.STOPPING, Phase.INTERRUPTED
        turn.recent.clear()
        # Should the engine never acknowledge, the session must not stay interrupted for ever.
        return [
            FlushViewers(self._stop_message(reason), now_ms),
            ScheduleIdle(INTERRUPTED_PHASE_S),
        ]

    def _complete(self, ack: StopAck, raw: str) -> list[Action]:
        turn = self.turn
        wordless = not turn.text and turn.source is AudioSource.ENGINE
        if turn.engine is EngineState.LOST or (turn.stop_asked_at_ms is None and wordless):
            # It broke off before a word: the legacy pipeline may answer it yet.
            turn.replied = True
        turn.delivery = Delivery.STOPPED
        if turn.source is AudioSource.FILE_AWAITED:
            turn.source = AudioSource.FILE
        if ack.heard_text is not None:
            turn.text, turn.interrupted = ack.heard_text, True
        return [Broadcast(raw), *self._reply()]

    def _reply(self) -> list[Action]:
        if self.turn.replied:
            return []
        self.turn.replied = True
        return [SendReply(self.turn.text)]

    def _pause_everywhere(self, action: PauseAction, now_ms: float) -> list[Action]:
        actions = self.apply_pause(action, now_ms)
        return [*actions, SendToEngine(self._pause_message(action))] if actions else []

    def _idle_when_played(self, now_ms: float) -> list[Action]:
        turn = self.turn
        if turn.paused:
            return []
        return [ScheduleIdle(turn.remaining_ms(now_ms) / 1000)]

    def _check_barge_in(self) -> None:
        if not self.turn.flags.SYNC_TTS_BARGE_IN:
            raise BargeInOff(BARGE_IN_OFF)

    def _stop_message(self, reason: str) -> Stop:
        return Stop(session_id=self._session_id, turn=self.turn.number, reason=reason)

    def _pause_message(self, action: PauseAction) -> str:
        control = PlaybackControl(action=action, session_id=self._session_id, turn=self.turn.number)
        return control.to_json()

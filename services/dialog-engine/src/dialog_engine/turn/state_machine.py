"""State machine of one turn, without I/O: inputs with their time go in, actions come out.

    text    WAITING ──first delta──▶ STREAMING ──end, stop──▶ COMMITTING ──stored──▶ DONE
               │                        │                         └──error──▶ FAILED
               └────────────────────────┴──▶ FAILED or CANCELLED

    audio   SILENT ──first chunk──▶ PLAYING ──all sent──▶ SENT ──played──▶ DONE

A turn without a voice begins with its audio DONE, and a stop or failure ends the audio in any
state. The turn has ended when both are in a final state.

A turn has many sources of events that race with each other: the model, the voice, commits, callers,
viewers, and other engines. One machine without I/O makes each decision testable for any order of
events. `runner.py` provides the inputs and executes the actions.

It guarantees for any order of inputs: a caller that stays gets exactly one `done` or `error`, and
nothing after it. `done` comes after the commit. After a stop no chunk and no caption is sent. A
turn is committed once, and a second time only if a stop truncates a reply that was committed
already.
"""

from enum import Enum, auto
from typing import Final, Literal

from dialog_contracts.sse import ControlEvent, DoneEvent, DoneStats, ErrorEvent, TextDeltaEvent
from dialog_engine.turn.actions import (
    Action,
    CancelModel,
    CancelSynthesis,
    Commit,
    EmitEvent,
    EndSynthesis,
    Finish,
    SendCaption,
    SendEnd,
    SendStopAck,
    Synthesize,
)
from dialog_voice.text.fragmenter import TextFragmenter

INTERNAL: Final = "internal"
INTERNAL_MESSAGE: Final = "an error on our side; it was logged"


class TextState(Enum):
    """State of the reply's text."""

    WAITING = auto()
    STREAMING = auto()
    COMMITTING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class AudioState(Enum):
    """State of the reply's audio."""

    SILENT = auto()
    PLAYING = auto()
    SENT = auto()
    DONE = auto()


class TurnStateMachine:
    """One turn. `now_ms` is ms since its request was received; `voiced`: it has a voice.

    `reply` is the text so far, or after a stop the kept part; `shape` has the lengths of its
    deltas.
    """

    def __init__(self, *, turn: int, voiced: bool) -> None:
        self.turn = turn
        self.text = TextState.WAITING
        self.audio = AudioState.SILENT if voiced else AudioState.DONE
        self.reply = ""
        self.shape: list[int] = []
        self.ttft_ms: float | None = None
        self.first_audio_ms: float | None = None
        self.stopped = False
        self.finished = False
        self._fragmenter = TextFragmenter()
        self._voiced = voiced
        self._committed = False
        # After an error of our own the viewers have their STOP_ACK, and nothing is left to stop.
        self._gave_up = False
        self._wants_audio_time = voiced
        self._failure: ErrorEvent | None = None
        self._truncation_reason: Literal["length", "content_filter"] | None = None

    @property
    def over(self) -> bool:
        """Whether text and audio have ended, so that a new turn interrupts nothing."""
        return (
            self.text in (TextState.DONE, TextState.FAILED, TextState.CANCELLED)
            and self.audio is AudioState.DONE
        )

    @property
    def deltas(self) -> int:
        """Number of pieces of text that the model has sent."""
        return len(self.shape)

    def delta(self, content: str, now_ms: float) -> list[Action]:
        """Add a piece of text from the model."""
        if self.text not in (TextState.WAITING, TextState.STREAMING) or not content:
            return []
        if self.text is TextState.WAITING:
            self.text, self.ttft_ms = TextState.STREAMING, now_ms
        start = len(self.reply)
        self.reply += content
        self.shape.append(len(content))
        actions: list[Action] = (
            [Synthesize(fragment) for fragment in self._fragmenter.feed(content)]
            if self._voiced
            else []
        )
        return [
            *actions,
            EmitEvent(TextDeltaEvent(content=content)),
            SendCaption(content, start, eos=False),
        ]

    def model_truncated(self, reason: Literal["length", "content_filter"]) -> None:
        """Note that the reply is cut off; the event `done` carries the reason."""
        self._truncation_reason = reason

    def model_ended(self) -> list[Action]:
        """Handle the end of the model's stream; a stream without text is an error."""
        if self.text is TextState.WAITING:
            return self.model_failed(
                "llm_empty", "the language model returned no text", retryable=True
            )
        if self.text is not TextState.STREAMING:
            return []
        self.text = TextState.COMMITTING
        return [
            *self._end_text(),
            EmitEvent(TextDeltaEvent(content="", eos=True)),
            SendCaption("", len(self.reply), eos=True),
            Commit(self.reply, interrupted=False, revision=0),
        ]

    def model_failed(self, code: str, message: str, *, retryable: bool) -> list[Action]:
        """Handle an error of the model.

        Text that was already sent is stored as an interrupted reply.

        The caller then gets the error after the commit.
        """
        error = ErrorEvent(code=code, message=message, retryable=retryable)
        if self.text is TextState.WAITING:
            return [EmitEvent(error), *self._abandon(TextState.FAILED, "failed", code)]
        if self.text is not TextState.STREAMING:
            return []
        # Viewers have the text so far, so it is stored. The caller gets the error after the commit.
        self.text, self._failure = TextState.COMMITTING, error
        return [
            *self._end_text(),
            SendCaption("", len(self.reply), eos=True),
            Commit(self.reply, interrupted=True, revision=0),
        ]

    def failed_inside(self) -> list[Action]:
        """Handle the first unexpected error in our own code.

        The text so far is stored, audio is cancelled, and nothing waits for a component that may be
        broken.
        """
        if self.text is TextState.WAITING:
            return [CancelModel(), *self.model_failed(INTERNAL, INTERNAL_MESSAGE, retryable=True)]
        if self.text is not TextState.STREAMING:
            return self.task_crashed()
        self._failure, self._gave_up = ErrorEvent(code=INTERNAL, message=INTERNAL_MESSAGE), True
        self.text, self._wants_audio_time = TextState.COMMITTING, False
        actions: list[Action] = [CancelModel()]
        if self.audio is not AudioState.DONE:
            self.audio = AudioState.DONE
            actions.append(CancelSynthesis())
        return [*actions, SendStopAck(self.reply), Commit(self.reply, interrupted=True, revision=0)]

    def task_crashed(self) -> list[Action]:
        """End the turn at once after a second unexpected error, whatever its state."""
        if self.finished:
            return []
        actions: list[Action] = (
            [CancelModel()] if self.text in (TextState.WAITING, TextState.STREAMING) else []
        )
        text = self.text if self.text in (TextState.DONE, TextState.CANCELLED) else TextState.FAILED
        actions += self._abandon(text, "failed", INTERNAL, self.reply or None)
        # After a stop the viewers have their STOP_ACK already.
        return [
            action for action in actions if not (self.stopped and isinstance(action, SendStopAck))
        ]

    def committed(self) -> list[Action]:
        """The last Commit is durable."""
        self._committed = True
        return self._settle()

    def commit_failed(self, message: str) -> list[Action]:
        """The last Commit failed: the caller gets an error instead of `done`.

        A failed truncation is ignored, because the reply is already stored.
        """
        if self._committed:
            return []
        self._committed = True
        self._failure = ErrorEvent(code="not_stored", message=message, retryable=False)
        return self._settle()

    def first_audio(self, now_ms: float) -> list[Action]:
        """The first chunk was sent."""
        if self.audio is not AudioState.SILENT:
            return []
        self.audio, self.first_audio_ms = AudioState.PLAYING, now_ms
        if self.text in (TextState.STREAMING, TextState.COMMITTING):
            return [EmitEvent(ControlEvent(action="SPEECH_START")), *self._settle()]
        return self._settle()

    def audio_time_unknown(self) -> list[Action]:
        """Send `done` without the time of the first chunk, because it has waited long enough."""
        self._wants_audio_time = False
        return self._settle()

    def voice_sent(self) -> list[Action]:
        """All chunks were sent, or the voice has failed permanently."""
        if self.audio not in (AudioState.SILENT, AudioState.PLAYING):
            return []
        self.audio = AudioState.SENT
        self._wants_audio_time = False
        return [SendEnd(), *self._settle()]

    def played_out(self) -> list[Action]:
        """All sent audio has been played."""
        if self.audio is not AudioState.SENT:
            return []
        self.audio = AudioState.DONE
        return self._settle()

    def stop(self, played_text: str, reason: str) -> list[Action]:
        """Interrupt the turn; `played_text` is the part of the reply that was played.

        Returns no actions if nothing is running or the turn was stopped before.
        """
        if self.stopped or self.over or self._gave_up:
            return []
        self.stopped = True
        unfinished = self.text in (TextState.WAITING, TextState.STREAMING)
        # Without a voice viewers read the text, so all of it counts as played.
        kept = played_text if self._voiced else self.reply
        actions: list[Action] = [CancelModel()] if unfinished else []
        actions += [CancelSynthesis(), SendStopAck(kept)]
        self.audio, self._wants_audio_time = AudioState.DONE, False
        if unfinished:
            self.text, self.reply = TextState.COMMITTING, kept
            return [*actions, Commit(kept, interrupted=True, revision=0), *self._settle()]
        if self.text in (TextState.COMMITTING, TextState.DONE) and kept != self.reply:
            self.reply = kept
            actions.append(Commit(kept, interrupted=True, revision=1))
        return [*actions, *self._settle()]

    def caller_left(self, *, claimed: bool = True) -> list[Action]:
        """Handle that the last caller has disconnected.

        Before the first delta the turn is cancelled. Later it continues for the viewers. A turn
        whose claim is uncertain is cancelled in both cases: its caller may be passing it to the
        legacy pipeline.
        """
        if self.text is TextState.WAITING or (self.text is TextState.STREAMING and not claimed):
            return [CancelModel(), *self._abandon(TextState.CANCELLED, "cancelled", "caller_left")]
        return []

    def claim_lost(self) -> list[Action]:
        """The legacy pipeline has the reply claim: end the turn without storing it."""
        if self.text not in (TextState.WAITING, TextState.STREAMING):
            return []
        error = ErrorEvent(
            code="answered_elsewhere",
            message="the legacy pipeline answers this turn",
            retryable=False,
        )
        return [
            CancelModel(),
            EmitEvent(error),
            *self._abandon(TextState.CANCELLED, "cancelled", "claim_lost"),
        ]

    def session_lost(self) -> list[Action]:
        """Another engine has acquired the lease: stop text and audio.

        A reply that is not complete is not stored.
        """
        if self.text in (TextState.WAITING, TextState.STREAMING):
            error = ErrorEvent(
                code="engine_lost",
                message="another engine has acquired this session",
                retryable=True,
            )
            return [
                CancelModel(),
                EmitEvent(error),
                *self._abandon(TextState.CANCELLED, "cancelled", "session_lost"),
            ]
        if self.audio is AudioState.DONE:
            return []
        self.audio, self._wants_audio_time = AudioState.DONE, False
        return [CancelSynthesis(), *self._settle()]

    def _end_text(self) -> list[Action]:
        if not self._voiced:
            return []
        return [*(Synthesize(fragment) for fragment in self._fragmenter.flush()), EndSynthesis()]

    def _abandon(
        self, text: TextState, outcome: str, reason: str, played_text: str | None = None
    ) -> list[Action]:
        self.text = text
        actions: list[Action] = []
        if self.audio is not AudioState.DONE:
            self.audio = AudioState.DONE
            actions.append(CancelSynthesis())
        self.finished = True
        return [*actions, SendStopAck(played_text), Finish(outcome, reason)]

    def _settle(self) -> list[Action]:
        """Return `done` (or the delayed error) when it is due, and Finish when nothing is left."""
        actions: list[Action] = []
        known = not self._wants_audio_time or self.first_audio_ms is not None
        if self.text is TextState.COMMITTING and self._committed and known:
            if self._failure is not None:
                self.text = TextState.FAILED
                actions.append(EmitEvent(self._failure))
            else:
                self.text = TextState.DONE
                actions.append(EmitEvent(DoneEvent(stats=self._stats())))
        if self.over and not self.finished:
            self.finished = True
            outcome = "interrupted" if self.stopped else "failed" if self._failure else "completed"
            actions.append(Finish(outcome, self._failure.code if self._failure else None))
        return actions

    def _stats(self) -> DoneStats:
        return DoneStats(
            ttft_ms=self.ttft_ms,
            first_audio_ms=self.first_audio_ms,
            tokens=len(self.shape),
            interrupted=self.stopped,
            finish_reason=self._truncation_reason,
            turn=self.turn,
        )

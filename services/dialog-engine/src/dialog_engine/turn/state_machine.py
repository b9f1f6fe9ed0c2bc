"""The life of a turn as a state machine without I/O: inputs with their time in, actions out. The shell in `runner.py` carries them out.

Text:   WAITING → STREAMING → COMMITTING → DONE          (FAILED, CANCELLED end it too)
Voice:  QUIET → SOUNDING → SENT → OVER                     (a turn without voice begins OVER)

What it promises, for any order of inputs: the caller gets exactly one `done` or `error`, and nothing after it; `done` only
after the commit; after a stop nothing of the turn is said or captioned; a turn is committed once, and a second time only
when a stop cut what was already committed.
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
    """How far the reply's text is."""

    WAITING = auto()
    STREAMING = auto()
    COMMITTING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class AudioState(Enum):
    """How far its sound is."""

    SILENT = auto()
    PLAYING = auto()
    SENT = auto()
    DONE = auto()


class TurnStateMachine:
    """See the module. Times are ms since the request was received."""

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
        self._wants_audio_time = voiced
        self._failure: ErrorEvent | None = None
        self._truncation_reason: Literal["length", "content_filter"] | None = None

    @property
    def over(self) -> bool:
        """Neither text nor sound goes on: a new turn interrupts nothing."""
        return (
            self.text in (TextState.DONE, TextState.FAILED, TextState.CANCELLED)
            and self.audio is AudioState.DONE
        )

    @property
    def deltas(self) -> int:
        """Pieces that the model has sent; `shape` holds their lengths."""
        return len(self.shape)

    def delta(self, content: str, now_ms: float) -> list[Action]:
        """A piece of text from the model."""
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
        """The reply ends, and not by its own end: `done` says so."""
        self._truncation_reason = reason

    def model_ended(self) -> list[Action]:
        """The model has said everything."""
        if self.text is TextState.WAITING:
            return self.model_failed("llm_empty", "the model answered with nothing", retryable=True)
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
        """The model, or the voice of a turn without text, cannot go on."""
        error = ErrorEvent(code=code, message=message, retryable=retryable)
        if self.text is TextState.WAITING:
            return [EmitEvent(error), *self._abandon(TextState.FAILED, "failed", code)]
        if self.text is not TextState.STREAMING:
            return []
        # What was said was said: it is remembered as it stands, and the caller is told after the commit.
        self.text, self._failure = TextState.COMMITTING, error
        return [
            *self._end_text(),
            SendCaption("", len(self.reply), eos=True),
            Commit(self.reply, interrupted=True, revision=0),
        ]

    def failed_inside(self) -> list[Action]:
        """Something of ours failed in a way that nobody foresaw. What was said is kept, the rest ends here; nothing is relied on twice."""
        if self.text is TextState.WAITING:
            return [CancelModel(), *self.model_failed(INTERNAL, INTERNAL_MESSAGE, retryable=True)]
        if self.text is not TextState.STREAMING:
            return self.task_crashed()
        self._failure = ErrorEvent(code=INTERNAL, message=INTERNAL_MESSAGE)
        self.text, self._wants_audio_time = TextState.COMMITTING, False
        actions: list[Action] = [CancelModel()]
        if self.audio is not AudioState.DONE:
            self.audio = AudioState.DONE
            actions.append(CancelSynthesis())
        return [*actions, SendStopAck(self.reply), Commit(self.reply, interrupted=True, revision=0)]

    def task_crashed(self) -> list[Action]:
        """It failed once more: whatever state this is in, the turn ends now, because nothing else would end it."""
        if self.finished:
            return []
        actions: list[Action] = (
            [CancelModel()] if self.text in (TextState.WAITING, TextState.STREAMING) else []
        )
        text = self.text if self.text in (TextState.DONE, TextState.CANCELLED) else TextState.FAILED
        actions += self._abandon(text, "failed", INTERNAL, self.reply or None)
        # After a stop the viewers know.
        return [
            action for action in actions if not (self.stopped and isinstance(action, SendStopAck))
        ]

    def committed(self) -> list[Action]:
        """The last Commit is durable."""
        self._committed = True
        return self._settle()

    def commit_failed(self, message: str) -> list[Action]:
        """The last Commit did not happen: the caller must not believe otherwise."""
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
        """`done` has waited long enough for the first chunk."""
        self._wants_audio_time = False
        return self._settle()

    def voice_sent(self) -> list[Action]:
        """All chunks were sent, or the voice has failed for good."""
        if self.audio not in (AudioState.SILENT, AudioState.PLAYING):
            return []
        self.audio = AudioState.SENT
        self._wants_audio_time = False
        return [SendEnd(), *self._settle()]

    def played_out(self) -> list[Action]:
        """The ear has reached the end of what was sent."""
        if self.audio is not AudioState.SENT:
            return []
        self.audio = AudioState.DONE
        return self._settle()

    def stop(self, played_text: str, reason: str) -> list[Action]:
        """Somebody interrupts; `heard` is the part of the reply that reached the ear."""
        if self.stopped or self.over:
            return []
        self.stopped = True
        unfinished = self.text in (TextState.WAITING, TextState.STREAMING)
        # Without a voice the text itself is what was heard.
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
        """The caller closed its connection. Before the first delta nobody wants the answer; later the viewers do.

        A caller that leaves a turn which is not certainly ours may be having it answered by the other path.
        """
        if self.text is TextState.WAITING or (self.text is TextState.STREAMING and not claimed):
            return [CancelModel(), *self._abandon(TextState.CANCELLED, "cancelled", "caller_left")]
        return []

    def claim_lost(self) -> list[Action]:
        """The other path has taken this turn: not another word of it from here, and nothing is stored."""
        if self.text not in (TextState.WAITING, TextState.STREAMING):
            return []
        error = ErrorEvent(
            code="answered_elsewhere", message="the legacy path answers this turn", retryable=False
        )
        return [
            CancelModel(),
            EmitEvent(error),
            *self._abandon(TextState.CANCELLED, "cancelled", "claim_lost"),
        ]

    def session_lost(self) -> list[Action]:
        """Another engine has the session now: nothing more is said here, and nothing is stored."""
        if self.text in (TextState.WAITING, TextState.STREAMING):
            error = ErrorEvent(
                code="engine_lost", message="another engine has this session now", retryable=True
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
        """`done` (or the late error) when it is due, and the end of the turn when nothing is left."""
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

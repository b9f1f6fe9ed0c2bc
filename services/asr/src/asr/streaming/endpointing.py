"""When somebody at a microphone begins to speak, and when they have said what they wanted to say. A state machine without I/O: the chance
of voice in each frame goes in, actions come out.

    QUIET ──voice for 96 ms──▶ SPEAKING ──200 ms of silence──▶ PAUSING: a model is asked whether that was the end
      ▲                           ▲  voice again                  │
      │                           └───────────────────────────────┤
      └── it was, or the silence is long, or all of it is too long ┘

It promises: each Began is followed by one End before the next Began; an utterance with what precedes it is never longer than the bound
and one frame; the answer to a question about an earlier silence changes nothing; silence makes no actions.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

Reason = Literal["complete", "silence", "too_long", "stopped", "gap"]


@dataclass(frozen=True, slots=True)
class EndpointingConfig:
    """Thresholds are chances of voice, 0 to 1; times are ms."""

    starts_at: float = 0.5
    goes_on_at: float = 0.35
    """Lower than where it starts: the quiet end of a word belongs to it."""

    onset_ms: int = 96
    """Voice for so long is speech; a click is shorter."""

    preroll_ms: int = 300
    """So much before the first voice is listened to as well: consonants begin without voice."""

    predict_after_ms: int = 200
    """Silence after which the model is asked, and the words are looked for ahead of its answer."""

    max_silence_ms: int = 1_500
    """Silence that ends an utterance of which the model says that it is not complete."""

    fallback_silence_ms: int = 700
    """Silence that ends an utterance where no model says anything."""

    interim_interval_ms: int = 500
    max_utterance_ms: int = 30_000
    """With its pre-roll. What goes on is the next utterance."""


class State(Enum):
    """What is going on."""

    QUIET = auto()
    SPEAKING = auto()
    PAUSING = auto()
    """Silence within an utterance, long enough to ask about."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks since `start_ms`; listen from `window_ms`, which is at most the pre-roll earlier."""

    start_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Decode:
    """Look what was said so far. What was asked for before and not begun yet need not be done."""

    speech_ms: int
    pausing: bool
    """These may be all the words there are: worth the work, however much there was already."""


@dataclass(frozen=True, slots=True)
class PredictEnd:
    """Ask the model whether that was all; its answer goes to `verdict` with this number."""

    question: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over. `end_ms` is the end of its last voice."""

    start_ms: int
    end_ms: int
    reason: Reason


Action = SpeechStarted | Decode | PredictEnd | SpeechEnded


class Endpointer:
    """One microphone. Times are ms of its own audio. `judged`: there is a model to ask."""

    def __init__(self, rhythm: EndpointingConfig, *, judged: bool) -> None:
        self.state = State.QUIET
        self._config, self._prediction_pending = rhythm, judged
        self._now = self._free_from = 0
        self._onset: int | None = None
        self._start = self._window = self._voiced_until = self._decoded_at = self._wait_ms = (
            self._question
        ) = 0

    def on_frame(self, from_ms: int, to_ms: int, chance: float) -> list[Action]:
        """A frame; each begins where the one before ended, or later."""
        self._now = to_ms
        if self.state is State.QUIET:
            return self._quiet_frame(from_ms, to_ms, chance)
        actions = self._voiced_frame() if chance >= self._threshold() else self._silent_frame()
        ended = any(isinstance(action, SpeechEnded) for action in actions)
        if not ended and to_ms - self._window >= self._config.max_utterance_ms:
            actions.append(self._end("too_long"))
        return actions

    def on_prediction(self, question: int, complete: bool | None) -> list[Action]:
        """The model's answer to AskEnd; None: it could not say."""
        if self.state is not State.PAUSING or question != self._question:
            return []
        if complete:
            return [self._end("complete")]
        if complete is None:
            self._wait_ms = self._config.fallback_silence_ms
            if self._now - self._voiced_until >= self._wait_ms:
                return [self._end("silence")]
        return []

    def force_end(self, reason: Literal["stopped", "gap"]) -> list[Action]:
        """No more sound comes: the microphone is off, or its frames stay away."""
        self._onset = None
        return [] if self.state is State.QUIET else [self._end(reason)]

    def _threshold(self) -> float:
        return self._config.goes_on_at if self.state is State.SPEAKING else self._config.starts_at

    def _quiet_frame(self, from_ms: int, to_ms: int, chance: float) -> list[Action]:
        if chance < self._config.starts_at:
            self._onset = None
            return []
        self._onset = from_ms if self._onset is None else self._onset
        if to_ms - self._onset < self._config.onset_ms:
            return []
        self._start = self._onset
        self._window = max(self._start - self._config.preroll_ms, self._free_from)
        self._voiced_until = self._decoded_at = to_ms
        self._onset, self.state = None, State.SPEAKING
        return [SpeechStarted(self._start, self._window)]

    def _voiced_frame(self) -> list[Action]:
        self.state, self._voiced_until = State.SPEAKING, self._now
        if self._now - self._decoded_at < self._config.interim_interval_ms:
            return []
        return [self._decode()]

    def _silent_frame(self) -> list[Action]:
        silent_ms = self._now - self._voiced_until
        actions: list[Action] = []
        if self.state is State.SPEAKING and silent_ms >= self._config.predict_after_ms:
            self.state = State.PAUSING
            self._question += 1
            self._wait_ms = (
                self._config.max_silence_ms
                if self._prediction_pending
                else self._config.fallback_silence_ms
            )
            actions.append(self._decode())
            if self._prediction_pending:
                actions.append(PredictEnd(self._question))
        if self.state is State.PAUSING and silent_ms >= self._wait_ms:
            actions.append(self._end("silence"))
        return actions

    def _decode(self) -> Decode:
        self._decoded_at = self._now
        return Decode(self._voiced_until - self._start, self.state is State.PAUSING)

    def _end(self, reason: Reason) -> SpeechEnded:
        self.state = State.QUIET
        # What was listened to once is not heard again as the beginning of the next utterance.
        self._free_from = self._now
        return SpeechEnded(self._start, self._voiced_until, reason)

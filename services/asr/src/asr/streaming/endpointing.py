"""Endpointing: decides when a user begins to speak and when the utterance is complete.

It is a state machine without I/O: the probability of speech in each frame goes in, actions come
out.

    QUIET ──speech for 96 ms──▶ SPEAKING ──200 ms of silence──▶ PAUSING: the model is asked
      ▲                            ▲  speech again                 │
      │                            └───────────────────────────────┤
      └── it is complete, or the silence or the utterance is too long

A fixed silence alone would be either too slow for short answers or cut off slow speakers, hence the
model; without one, `fallback_silence_ms` ends the utterance.

It guarantees that each SpeechStarted is followed by one SpeechEnded before the next SpeechStarted;
that an utterance with its pre-roll is never longer than the limit and one frame; that a prediction
about an earlier silence changes nothing; and that silence causes no actions.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

Reason = Literal["complete", "silence", "too_long", "stopped", "gap"]


@dataclass(frozen=True, slots=True)
class EndpointingConfig:
    """Thresholds are probabilities of speech, 0 to 1; times are ms."""

    starts_at: float = 0.5
    goes_on_at: float = 0.35
    """Lower than `starts_at`, because the quiet end of a word belongs to the utterance."""

    onset_ms: int = 96
    """Speech of this length starts an utterance; a click is shorter."""

    preroll_ms: int = 300
    """Audio before the first voice that belongs to the utterance.

    Consonants begin without voice.
    """

    predict_after_ms: int = 200
    """Silence after which the model is asked; the words are decoded at the same time."""

    max_silence_ms: int = 1_500
    """Silence that ends an utterance that the model considers incomplete."""

    fallback_silence_ms: int = 700
    """Silence that ends an utterance without a prediction."""

    interim_interval_ms: int = 500
    max_utterance_ms: int = 30_000
    """Longest utterance including its pre-roll; the rest becomes the next utterance."""


class State(Enum):
    """State of a microphone."""

    QUIET = auto()
    SPEAKING = auto()
    PAUSING = auto()
    """Silence within an utterance, long enough for a prediction."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began at `start_ms`.

    Its audio begins at `window_ms`, which is at most the pre-roll earlier.
    """

    start_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode the words so far. It replaces earlier requests that have not begun."""

    speech_ms: int
    pausing: bool
    """Whether these may be all words; then they are decoded however many there are."""


@dataclass(frozen=True, slots=True)
class PredictEnd:
    """Ask the end-of-turn model; pass its answer to `on_prediction` with this number."""

    question: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance has ended. `end_ms` is the end of its last voice."""

    start_ms: int
    end_ms: int
    reason: Reason


Action = SpeechStarted | Decode | PredictEnd | SpeechEnded


class Endpointer:
    """Endpointing of one microphone.

    Times are ms of its own audio. `judged`: there is an end-of-turn model.
    """

    def __init__(self, rhythm: EndpointingConfig, *, judged: bool) -> None:
        self.state = State.QUIET
        self._config, self._predicts = rhythm, judged
        self._now = self._free_from = 0
        self._onset: int | None = None
        self._start = self._window = self._voiced_until = self._decoded_at = self._wait_ms = (
            self._question
        ) = 0

    def on_frame(self, from_ms: int, to_ms: int, chance: float) -> list[Action]:
        """Process a frame, which begins where the one before ended, or later."""
        self._now = to_ms
        if self.state is State.QUIET:
            return self._quiet_frame(from_ms, to_ms, chance)
        actions = self._voiced_frame() if chance >= self._threshold() else self._silent_frame()
        ended = any(isinstance(action, SpeechEnded) for action in actions)
        if not ended and to_ms - self._window >= self._config.max_utterance_ms:
            actions.append(self._end("too_long"))
        return actions

    def on_prediction(self, question: int, complete: bool | None) -> list[Action]:
        """Process the model's answer to a PredictEnd; None if it failed."""
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
        """End the utterance, because the microphone is off or its frames stopped arriving."""
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
                self._config.max_silence_ms if self._predicts else self._config.fallback_silence_ms
            )
            actions.append(self._decode())
            if self._predicts:
                actions.append(PredictEnd(self._question))
        if self.state is State.PAUSING and silent_ms >= self._wait_ms:
            actions.append(self._end("silence"))
        return actions

    def _decode(self) -> Decode:
        self._decoded_at = self._now
        return Decode(self._voiced_until - self._start, self.state is State.PAUSING)

    def _end(self, reason: Reason) -> SpeechEnded:
        self.state = State.QUIET
        # Audio of this utterance must not be in the pre-roll of the next one.
        self._free_from = self._now
        return SpeechEnded(self._start, self._voiced_until, reason)

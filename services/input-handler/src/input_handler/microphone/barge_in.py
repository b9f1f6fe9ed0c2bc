"""Decides whether a user's speech interrupts the reply that plays. A state machine without I/O.

    QUIET ──speech──▶ JUDGING ──words──▶ STOPPED
      ▲                  │  backchannel, noise, or no words in time: RESUME
      └──────────────────┴──── end of the utterance ────────┘

Speech pauses the reply at once, because a transcript takes time. Words stop it; a backchannel or a
noise resumes it (a false interruption). The machine guarantees: a Resume or a Stop follows every
Pause; a backchannel or a noise never stops a reply; words always do, and become one turn; while no
reply plays, every utterance becomes a turn, backchannels too.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from input_handler.microphone import backchannel

FALSE_INTERRUPTION_TIMEOUT_MS: Final = 1_500
"""Ms without a word after which a paused reply is resumed."""


class State(Enum):
    """State of the present utterance."""

    QUIET = auto()
    """No user speaks, no reply plays, or the utterance is no interruption."""

    JUDGING = auto()
    """The reply is paused until there is a transcript."""

    STOPPED = auto()
    """There were words, and the reply was stopped."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause the reply; `on_pause_result` gets the outcome."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume the reply: it was a false interruption."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the reply."""


@dataclass(frozen=True, slots=True)
class StartTurn:
    """Begin a turn."""

    text: str
    lang: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """Begin no turn."""

    reason: Literal["noise", "back_channel"]


Action = Pause | Resume | Stop | StartTurn | Drop


class BargeInPolicy:
    """The policy of one microphone. Times are ms of a monotonic clock."""

    def __init__(self) -> None:
        self.state = State.QUIET
        self._speaking = False
        self._playing = False
        self._judging_since = 0.0

    def on_speech_started(self, now: float) -> list[Action]:
        """Handle the start of speech, or of what seems to be speech."""
        if self._speaking:
            return []
        self._speaking = self._playing = True
        self.state, self._judging_since = State.JUDGING, now
        return [Pause()]

    def on_pause_result(self, paused: bool) -> None:
        """Take the outcome of the last Pause: whether a reply was paused."""
        if not paused and self.state is State.JUDGING:
            self.state, self._playing = State.QUIET, False

    def on_partial(self, text: str) -> list[Action]:
        """Handle an interim transcript."""
        if not self._playing or self.state is State.STOPPED or backchannel.is_backchannel(text):
            return []
        if not (backchannel.is_stop_command(text) or backchannel.has_min_words(text)):
            return []
        # Also after the timeout: late words stop a reply that was resumed.
        self.state = State.STOPPED
        return [Stop()]

    def on_speech_ended(self, text: str, lang: str | None) -> list[Action]:
        """Handle the final transcript; it is empty without words."""
        state, playing = self.state, self._playing
        self.state, self._speaking, self._playing = State.QUIET, False, False
        going_on: list[Action] = [Resume()] if state is State.JUDGING else []
        if backchannel.has_no_words(text):
            return [*going_on, Drop("noise")]
        if playing and state is not State.STOPPED and backchannel.is_backchannel(text):
            return [*going_on, Drop("back_channel")]
        stopping: list[Action] = [Stop()] if playing and state is not State.STOPPED else []
        return [*stopping, StartTurn(text, lang)]

    def on_tick(self, now: float) -> list[Action]:
        """Handle the passing of time."""
        if (
            self.state is State.JUDGING
            and now - self._judging_since >= FALSE_INTERRUPTION_TIMEOUT_MS
        ):
            self.state = State.QUIET
            return [Resume()]
        return []

    def on_closed(self) -> list[Action]:
        """Handle the end of the microphone, or of asr."""
        state = self.state
        self.state, self._speaking, self._playing = State.QUIET, False, False
        return [Resume()] if state is State.JUDGING else []

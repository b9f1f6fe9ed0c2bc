"""Whether somebody who makes a sound wants the character to stop. A state machine without I/O: what is heard goes in, actions come out.

    QUIET ──speech──▶ JUDGING ──words──▶ STOPPED
      ▲                  │  a nod, a cough, or nothing for too long: RESUME
      └──────────────────┴──── the end of the utterance ────┘

It promises: every Pause is followed by a Resume or a Stop; a nod or a noise never stops a reply; words always do, and are asked as a
turn once; whoever speaks while nothing sounds is always heard out, nods included.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from input_handler.microphone import backchannel

FALSE_INTERRUPTION_TIMEOUT_MS: Final = 1_500
"""A sound in which no word was found for so long holds up the reply no longer."""


class State(Enum):
    """What is known of the present utterance."""

    QUIET = auto()
    """Nobody speaks, or nothing sounds that could be interrupted, or what is heard is no reason to."""

    JUDGING = auto()
    """The reply stands still until it is known what was heard."""

    STOPPED = auto()
    """It was words, and the reply was stopped for them."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let the reply stand still; `paused` tells whether one did."""


@dataclass(frozen=True, slots=True)
class Resume:
    """It was nothing: the reply goes on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The reply is over."""


@dataclass(frozen=True, slots=True)
class StartTurn:
    """A turn of the session."""

    text: str
    lang: str | None


@dataclass(frozen=True, slots=True)
class Drop:
    """No turn comes of it."""

    reason: Literal["noise", "back_channel"]


Action = Pause | Resume | Stop | StartTurn | Drop


class BargeInPolicy:
    """One microphone. Times are ms of any clock that goes forward."""

    def __init__(self) -> None:
        self.state = State.QUIET
        self._speaking = False
        self._playing = False
        self._judging_since = 0.0

    def on_speech_started(self, now: float) -> list[Action]:
        """Speech, or what seems to be."""
        if self._speaking:
            return []
        self._speaking = self._playing = True
        self.state, self._judging_since = State.JUDGING, now
        return [Pause()]

    def on_pause_result(self, paused: bool) -> None:
        """The outcome of the last Pause: whether there was anything to pause."""
        if not paused and self.state is State.JUDGING:
            self.state, self._playing = State.QUIET, False

    def on_partial(self, text: str) -> list[Action]:
        """What was understood so far."""
        if not self._playing or self.state is State.STOPPED or backchannel.is_backchannel(text):
            return []
        if not (backchannel.is_stop_command(text) or backchannel.has_min_words(text)):
            return []
        # Also after the patience was over: words that come late stop the reply that has gone on.
        self.state = State.STOPPED
        return [Stop()]

    def on_speech_ended(self, text: str, lang: str | None) -> list[Action]:
        """The whole utterance; empty without words."""
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
        """Time goes by."""
        if (
            self.state is State.JUDGING
            and now - self._judging_since >= FALSE_INTERRUPTION_TIMEOUT_MS
        ):
            self.state = State.QUIET
            return [Resume()]
        return []

    def on_closed(self) -> list[Action]:
        """The microphone is off, or nobody listens to it any more."""
        state = self.state
        self.state, self._speaking, self._playing = State.QUIET, False, False
        return [Resume()] if state is State.JUDGING else []

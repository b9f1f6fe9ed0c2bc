"""Actions that the state machine of a turn decides and the runner executes."""

from dataclasses import dataclass

from dialog_contracts.sse import ChatEvent
from dialog_voice.text.fragmenter import Fragment


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Send an event to the callers."""

    event: ChatEvent


@dataclass(frozen=True, slots=True)
class SendCaption:
    """Send a piece of the reply to the viewers; `start` is its position in characters."""

    content: str
    start: int
    eos: bool


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Pass a fragment to the voice."""

    fragment: Fragment


@dataclass(frozen=True, slots=True)
class EndSynthesis:
    """No fragment follows."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Store the turn, then call `committed` or `commit_failed`.

    `revision` 1 replaces a stored reply by its played text.
    """

    reply: str
    interrupted: bool
    revision: int


@dataclass(frozen=True, slots=True)
class CancelModel:
    """Close the stream of the language model."""


@dataclass(frozen=True, slots=True)
class CancelSynthesis:
    """Stop synthesis and discard audio that has not been sent."""


@dataclass(frozen=True, slots=True)
class SendEnd:
    """Send END: all chunks were sent."""


@dataclass(frozen=True, slots=True)
class SendStopAck:
    """Send STOP_ACK: no chunk follows. `played_text` is None for a turn that was abandoned."""

    played_text: str | None


@dataclass(frozen=True, slots=True)
class Finish:
    """The turn has ended. `outcome` and `reason` go to its metrics and its sample."""

    outcome: str
    reason: str | None = None


Action = (
    EmitEvent
    | SendCaption
    | Synthesize
    | EndSynthesis
    | Commit
    | CancelModel
    | CancelSynthesis
    | SendEnd
    | SendStopAck
    | Finish
)

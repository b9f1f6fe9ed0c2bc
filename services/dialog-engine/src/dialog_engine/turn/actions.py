"""What a turn machine decides, and its shell carries out."""

from dataclasses import dataclass

from dialog_contracts.sse import ChatEvent
from dialog_voice.text.fragmenter import Fragment


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Send an event to the caller."""

    event: ChatEvent


@dataclass(frozen=True, slots=True)
class SendCaption:
    """Send a piece of the reply to the viewers."""

    content: str
    start: int
    eos: bool


@dataclass(frozen=True, slots=True)
class Synthesize:
    """Give a fragment to the voice."""

    fragment: Fragment


@dataclass(frozen=True, slots=True)
class EndSynthesis:
    """The voice may end after what it has."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Store the turn, then call `committed` or `commit_failed`. `revision` 1 replaces what was stored."""

    reply: str
    interrupted: bool
    revision: int


@dataclass(frozen=True, slots=True)
class CancelModel:
    """Close the language model's stream."""


@dataclass(frozen=True, slots=True)
class CancelSynthesis:
    """Drop everything that was not sent, and stop synthesis."""


@dataclass(frozen=True, slots=True)
class SendEnd:
    """Tell viewers that all chunks were sent."""


@dataclass(frozen=True, slots=True)
class SendStopAck:
    """Tell viewers that no chunk follows."""

    played_text: str | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing of this turn is left to do."""

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

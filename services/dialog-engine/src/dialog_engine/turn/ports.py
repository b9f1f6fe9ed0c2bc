"""What a turn needs of the engine around it, and what it reports when it is over."""

from dataclasses import dataclass
from typing import Protocol

from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import ClaimState
from dialog_engine.turn.event_log import EventLog
from dialog_voice.voice import Voice


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that has ended.

    `number_used` is false where nothing of the turn was stored or will be: its number may be
    given to the same message again. `sample` is None where none could be made.
    """

    turn: int
    request_id: str | None
    client: str | None
    events: EventLog
    number_used: bool
    sample: TurnSample | None


class TurnHost(Protocol):
    """The engine as one turn sees it."""

    @property
    def memory(self) -> ShortTermMemory:
        """Where the turn is committed."""

    @property
    def voice(self) -> Voice:
        """The voice of the session."""

    @property
    def voice_files(self) -> bool:
        """Whether the legacy pipeline can synthesize a reply as one file."""

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        """Claim the reply against the legacy pipeline."""

    async def holds_lease(self, epoch: int) -> bool:
        """Whether a turn of this epoch may still be stored here."""

    def publish(self, message: str, droppable: bool) -> None:
        """Send a message (JSON) to the output-handlers that have viewers of the session."""

    def add_record(self, record: TurnRecord) -> None:
        """Show the turn to the next prompt; called before the turn is stored."""

    def drop_record(self, turn: int) -> None:
        """Hide a turn that could not be stored from the next prompt."""

    def on_stored(self) -> None:
        """The turn, or a later form of it, is durable."""

    def enqueue_voice_file(self, request: TtsRequest) -> None:
        """Have the reply synthesized as one file, and send END. Only where `voice_files` is true."""

    def on_ended(self, result: TurnResult) -> None:
        """The turn has ended; called once."""

"""The interface between a turn and its engine, and the result that a turn reports."""

from dataclasses import dataclass
from typing import Protocol

from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import ClaimState
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.event_log import EventLog
from dialog_voice.voice import Voice


@dataclass(frozen=True, slots=True)
class TurnResult:
    """Result of a turn that has ended.

    `number_used` is False if nothing of the turn is or will be stored: the same message may get its
    number again. `sample` is None if ending the turn failed before the sample was made.
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
        """Database in which the turn is committed."""

    @property
    def voice(self) -> Voice:
        """Voice of the session."""

    @property
    def voice_files(self) -> bool:
        """Whether the legacy pipeline can synthesize a reply as one file."""

    async def claim_reply(self, correlation_id: str) -> ClaimState:
        """Claim the reply against the legacy pipeline."""

    async def holds_lease(self, epoch: int) -> bool:
        """Whether a turn of this epoch may still be stored here."""

    def publish(self, message: str, droppable: bool) -> None:
        """Send a message (JSON) to the output-handlers that have viewers of the session.

        A `droppable` message may be dropped if an output-handler reads too slowly.
        """

    def add_record(self, record: TurnRecord) -> None:
        """Add the turn to the next prompt; called before the turn is stored."""

    def drop_record(self, turn: int) -> None:
        """Remove a turn that could not be stored from the next prompt."""

    def on_stored(self) -> None:
        """Called when the turn, or a later revision of it, is durable."""

    def add_late_stats(self, stored: StoredTurn) -> None:
        """Store an event with figures that were not known when the turn was stored."""

    def enqueue_voice_file(self, request: TtsRequest) -> None:
        """Have the reply synthesized as one file, and send END. Only if `voice_files` is true."""

    def on_ended(self, result: TurnResult) -> None:
        """Called once, when the turn has ended."""

"""What a turn is asked, and what it needs of the engine to answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.model import correlation_id
from dialog_contracts.turn_sample import TurnSample
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import ClaimState
from dialog_llm.provider import Piece
from dialog_voice.voice import Voice

if TYPE_CHECKING:
    from dialog_engine.turn.runner import TurnRunner


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What is asked of a turn. `text` yields the reply; `user_text` is empty for SAY."""

    session_id: str
    turn: int
    user_text: str
    request_id: str | None
    flags: FlagSet
    lang: str
    traceparent: str | None
    text: Callable[[], AsyncGenerator[Piece, None]]
    epoch: int = 0
    client: str | None = None
    llm: Callable[[], tuple[str, dict[str, str]]] | None = None
    """Who writes the reply, and why not those before it; None where nobody writes it."""

    @property
    def correlation_id(self) -> str:
        """`session#turn`."""
        return correlation_id(self.session_id, self.turn)


@dataclass(frozen=True, slots=True)
class TurnHost:
    """What a turn needs of the engine."""

    memory: ShortTermMemory
    voice: Voice
    claim_reply: Callable[[str], Awaitable[ClaimState]]
    holds_lease: Callable[[int], Awaitable[bool]]
    """Whether a turn of this epoch may still be stored here."""

    publish: Callable[[str, bool], None]
    """Send a frame (JSON) to the session's output-handlers; the second argument: droppable."""

    add_record: Callable[[TurnRecord], None]
    """The turn as the next prompt shall see it; called before it is stored."""

    drop_record: Callable[[int], None]
    """It could not be stored: the next prompt shall not see what history never will."""

    on_stored: Callable[[], None]
    """The turn, or a later form of it, is durable."""

    enqueue_voice_file: Callable[[TtsRequest], None] | None
    """Have a reply spoken into one file, where SYNC_TTS_STREAMING is off; sends END too. None: there is nobody to do it."""

    on_ended: Callable[["TurnRunner", TurnSample | None], None]
    """Nothing of the turn is left to do; without a sample where none could be made."""

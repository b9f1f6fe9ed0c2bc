"""Input of one turn."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from dialog_contracts.http import FlagSet
from dialog_contracts.model import correlation_id
from dialog_llm.provider import Piece


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Input of one turn.

    `text` opens the stream of the reply. `user_text` is empty for SAY, where the caller supplies
    the reply. `lang` is a language code. `epoch` is the epoch of the lease under which the turn
    runs. `client` is the client address that counts against the limit for each client. `viewer_id` is
    who speaks, if known.
    """

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
    viewer_id: str | None = None
    llm: Callable[[], tuple[str, dict[str, str]]] | None = None
    """Returns the provider that wrote the reply, and the reason of each one that failed before it.

    None if no language model is used.
    """

    @property
    def correlation_id(self) -> str:
        """`sessionId#turn`."""
        return correlation_id(self.session_id, self.turn)

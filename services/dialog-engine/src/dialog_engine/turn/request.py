"""What is asked of one turn."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from dialog_contracts.http import FlagSet
from dialog_contracts.model import correlation_id
from dialog_llm.provider import Piece


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

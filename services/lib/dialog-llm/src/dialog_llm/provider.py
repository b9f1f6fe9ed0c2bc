"""What the engine knows about a language model: a list of messages goes in, pieces of text come out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the prompt, oldest first in a sequence."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Limits of one reply."""

    max_tokens: int = 400
    """Most tokens the model may write; a spoken reply beyond this bores."""

    temperature: float = 0.8

    idle_gap_s: float = 8.0
    """Longest silence between two pieces, in seconds. The wait for the first piece has its own limit in each provider."""

    wall_clock_s: float = 60.0
    """Longest whole reply, in seconds from the call, retries included; where the model thinks first, from its first word."""

    thinking_s: float = 120.0
    """Longest thinking before the first word, in seconds from the first sign of it."""

    stop: tuple[str, ...] = ()
    """Texts at which the model stops writing; at most four with OpenAI-compatible servers."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model is at work and says nothing yet."""


THINKING: Final = Thinking()


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a reply ended, where that is not its own end: it was too long, or its vendor would not have it said. The last of its pieces."""

    reason: Literal["length", "content_filter"]


Piece = str | Thinking | Ended


class LlmProvider(Protocol):
    """One language model, shared by all sessions; every method may be called concurrently."""

    name: str
    """Short and stable: a label of metrics and logs."""

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply in non-empty pieces, as they are written; a provider without thoughts and reasons yields nothing but `str`.

        Closing the generator, or cancelling the task that waits in it, closes the vendor's connection at once. A consumer
        that may leave early holds it in `contextlib.aclosing`: a generator dropped between two pieces is closed only when
        the garbage collector finds it. Raises `dialog_llm.errors.LlmError`.
        """
        ...

    async def warm(self) -> None:
        """Do what the first call would otherwise pay for (imports, connections). Raises `LlmError` when that fails."""
        ...

    async def aclose(self) -> None:
        """Free all connections; no stream may be running."""
        ...

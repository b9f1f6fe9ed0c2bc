"""The interface of a language model: a list of messages in, pieces of text out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the prompt; sequences are ordered oldest first."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Limits of one reply."""

    max_tokens: int = 400
    """Largest number of tokens; a longer reply is too long to listen to."""

    temperature: float = 0.8

    idle_gap_s: float = 8.0
    """Longest time between two pieces in seconds.

    The wait for the first piece has its own limit in each provider.
    """

    wall_clock_s: float = 60.0
    """Longest duration of a reply in seconds from the call, retries included.

    Where the model thinks first, it counts from the first word.
    """

    thinking_s: float = 120.0
    """Longest thinking before the first word, in seconds from its first sign."""

    stop: tuple[str, ...] = ()
    """Texts at which the model stops; OpenAI-compatible servers accept at most four."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model is working and has not produced text yet."""


THINKING: Final = Thinking()


@dataclass(frozen=True, slots=True)
class Ended:
    """The last piece of a reply that was cut off: it was too long, or its vendor filtered it."""

    reason: Literal["length", "content_filter"]


Piece = str | Thinking | Ended


class LlmProvider(Protocol):
    """One language model, shared by all sessions; every method may be called concurrently."""

    name: str
    """Short and stable name, a label of metrics and logs."""

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply in non-empty pieces as they are generated.

        A provider without thoughts and end reasons yields only `str`. Closing the generator, or
        cancelling the task that waits in it, closes the vendor's connection at once. A consumer
        that may stop early wraps it in `contextlib.aclosing`: a generator that is dropped between
        two pieces is closed only by the garbage collector. Raises `dialog_llm.errors.LlmError`.
        """
        ...

    async def warm(self) -> None:
        """Do what would delay the first call (imports, connections); raises `LlmError`."""
        ...

    async def aclose(self) -> None:
        """Close all connections; no stream may be running."""
        ...

"""Parses a chunk of a chat completion of any server.

Servers differ in their fields, finish reasons and numbers of choices.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dialog_llm.content_parts import parts_of
from dialog_llm.provider import Ended

Ending = Literal["stop", "length", "content_filter", "broken"]

DONE: Final = "[DONE]"

_NO_REASONS: Final = frozenset({"", "null", "none", "undefined", "nil"})
_LENGTH: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_FILTERED: Final = frozenset(
    {
        "content_filter",
        "safety",
        "recitation",
        "prohibited_content",
        "blocklist",
        "sensitive",
        "refusal",
        "spii",
    }
)
_BROKEN: Final = frozenset(
    {"error", "network_error", "insufficient_system_resource", "abort", "timeout"}
)
_THOUGHT_FIELDS: Final = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "reasoning_details",
    "thinking",
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A parsed chunk.

    `texts` holds each text and whether it is a thought. `ending` says why the reply ends, or is
    None.
    """

    texts: list[tuple[str, bool]] = field(default_factory=list)
    ending: Ending | None = None


class ErrorInStream(ValueError):
    """The server sent an error instead of a chunk; `code` is the server's own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Choice:
    """Reads the first choice of a stream.

    Others are ignored, since they would be a second answer in between.
    """

    def __init__(self) -> None:
        self._index: object = None
        self._known = False

    def read(self, data: str) -> Chunk:
        """Parse one chunk.

        Raises `ErrorInStream`, `UnsupportedContent`, and ValueError for what is not a chunk.
        """
        chunk = json.loads(data)
        if not isinstance(chunk, Mapping):
            raise ValueError(f"a chunk that is {type(chunk).__name__}")
        if chunk.get("error"):
            raise _error(chunk["error"])
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return Chunk()
        texts: list[tuple[str, bool]] = []
        ending: Ending | None = None
        for choice in choices:
            if not isinstance(choice, Mapping) or not self._is_chosen(choice.get("index")):
                continue
            texts += _texts(choice)
            ending = ending_of(choice.get("finish_reason")) or ending
        return Chunk(texts, ending)

    def _is_chosen(self, index: object) -> bool:
        if not self._known:
            self._index, self._known = index, True
        return index == self._index


def ending_of(reason: object) -> Ending | None:
    """Return the meaning of a finish reason; None for placeholders such as "null"."""
    if not isinstance(reason, str) or (known := reason.strip().lower()) in _NO_REASONS:
        return None
    if known in _LENGTH:
        return "length"
    if known in _FILTERED:
        return "content_filter"
    return "broken" if known in _BROKEN else "stop"


def explain(ending: Ending | None) -> Ended | None:
    """Return the `Ended` piece for an ending, or None for one that is not reported."""
    return Ended(ending) if ending == "length" or ending == "content_filter" else None


def _texts(choice: Mapping[str, Any]) -> list[tuple[str, bool]]:
    # `message`: a server that does not stream; `text`: one with the older protocol.
    said = choice.get("delta") or choice.get("message") or {}
    if not isinstance(said, Mapping):
        said = {"content": said}
    content = said.get("content")
    thoughts = [("", True)] if any(said.get(name) for name in _THOUGHT_FIELDS) else []
    return [*thoughts, *parts_of(content if content is not None else choice.get("text"))]


def _error(error: object) -> ErrorInStream:
    if isinstance(error, Mapping):
        return ErrorInStream(
            str(error.get("message") or dict(error)),
            str(error.get("code") or error.get("type") or ""),
        )
    return ErrorInStream(str(error), "")

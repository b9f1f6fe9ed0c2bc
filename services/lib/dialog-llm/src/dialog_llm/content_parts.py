"""Turns the content that a model may send into text: strings, lists of parts, half characters."""

from collections.abc import Iterator, Mapping
from typing import Final

_TEXT_PARTS: Final = frozenset({"text", "output_text", "input_text", "text_delta", "refusal"})
_THOUGHT_PARTS: Final = frozenset(
    {"thinking", "reasoning", "thought", "redacted_thinking", "reasoning_text", "summary_text"}
)
_DEPTH_MAX: Final = 4


class UnsupportedContent(TypeError):
    """Content that is not text; the message names its type."""


def parts_of(content: object, depth: int = 0) -> Iterator[tuple[str, bool]]:
    """Yield each text in `content`, and whether it is a thought; None yields nothing.

    A list of parts, as some vendors send it, yields what its parts yield: `[{"type": "text",
    "text": "hi"}]`. Raises UnsupportedContent.
    """
    if content is None:
        return
    if isinstance(content, str):
        yield content, False
    elif isinstance(content, list | tuple) and depth < _DEPTH_MAX:
        for part in content:
            yield from parts_of(part, depth + 1)
    elif isinstance(content, Mapping):
        yield from _of_part(content.get("type"), content, depth)
    elif isinstance(getattr(content, "text", None), str) or isinstance(
        getattr(content, "thinking", None), str
    ):
        names = ("text", "thinking", "content")
        yield from _of_part(
            getattr(content, "type", None),
            {name: getattr(content, name, None) for name in names},
            depth,
        )
    else:
        raise UnsupportedContent(f"content of type {type(content).__name__}")


def _of_part(kind: object, fields: Mapping[str, object], depth: int) -> Iterator[tuple[str, bool]]:
    if kind in _THOUGHT_PARTS:
        thought = [
            fields.get(name) for name in ("thinking", "reasoning", "text", "content", "summary")
        ]
        if any(thought):
            yield "".join(each for each in thought if isinstance(each, str)), True
    elif kind in _TEXT_PARTS or kind is None:
        found = [
            fields[name] for name in ("text", "refusal", "content") if fields.get(name) is not None
        ]
        if not found:
            raise UnsupportedContent(
                f"a part with {', '.join(sorted(map(str, fields))) or 'nothing'} and no text"
            )
        yield from parts_of(found[0], depth + 1)
    else:
        raise UnsupportedContent(f"a part of type {str(kind)[:40]}")


class WholeCharacters:
    """Joins the halves of a surrogate pair that arrive in two pieces.

    A half without its other half becomes a question mark.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return the text up to the last whole character; the result can be encoded."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text if text.isascii() else _whole(text)

    def finish(self) -> str:
        """Return what is left of a half whose other half did not arrive."""
        text, self._half = self._half, ""
        return _whole(text)


def _whole(text: str) -> str:
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return joined.encode("utf-8", "replace").decode("utf-8")

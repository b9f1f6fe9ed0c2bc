"""Events of `POST /chat/stream`, and an incremental parser of Server-Sent Events."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from dialog_contracts import limits
from dialog_contracts.model import SnakeModel, WireModel


class ControlEvent(WireModel):
    """`event: control`. ACCEPTED is sent at once, SPEECH_START with the first chunk of audio."""

    action: Literal["ACCEPTED", "SPEECH_START"]
    session_id: str | None = None
    turn: int | None = None


class TextDeltaEvent(WireModel):
    """`event: text-delta`. The last one of a reply has `eos: true` and may be empty."""

    content: str
    eos: bool = False


class ErrorEvent(WireModel):
    """`event: error`. It ends the stream."""

    code: str
    message: str
    retryable: bool = False
    next_turn: int | None = None


class DoneStats(SnakeModel):
    """Statistics of a turn.

    Times are ms from the engine's receipt of the request; a time is absent if its event did not
    occur.
    """

    ttft_ms: float | None = None
    first_audio_ms: float | None = None
    tokens: int = Field(default=0, description="Deltas that the model sent.")
    total_ms: float | None = None
    llm: str | None = Field(default=None, description="Provider that answered.")
    voice: str | None = Field(
        default=None, description="Voice that spoke first, or why there is none."
    )
    instead_of: dict[str, str] | None = Field(
        default=None,
        description="Models and voices that come first and did not answer, by name: why, in a word or two.",
    )
    interrupted: bool = False
    finish_reason: Literal["length", "content_filter"] | None = Field(
        default=None,
        description="Why the model stopped before its own end: too long, or its vendor would not have it said.",
    )
    turn: int | None = None
    path: Literal["sync", "legacy"] | None = Field(
        default=None, description="`legacy`: the fallback answered; absent: sync."
    )
    fallback_reason: str | None = Field(
        default=None, description="With legacy: why the main path did not answer."
    )


class DoneEvent(WireModel):
    """`event: done`. It is sent after the turn is committed and ends the stream."""

    stats: DoneStats


COMMENT: Final = "comment"
"""Event name of a frame that is a comment on the wire, which clients ignore."""


ChatEvent = ControlEvent | TextDeltaEvent | ErrorEvent | DoneEvent

EVENT_NAMES: dict[type[WireModel], str] = {
    ControlEvent: "control",
    TextDeltaEvent: "text-delta",
    ErrorEvent: "error",
    DoneEvent: "done",
}
EVENT_TYPES: dict[str, type[ChatEvent]] = {
    "control": ControlEvent,
    "text-delta": TextDeltaEvent,
    "error": ErrorEvent,
    "done": DoneEvent,
}


EVENT_ID: Final = r"^[1-9][0-9]{0,8}[.][0-9]{1,9}$"
"""Pattern of the ids of turn events; turns are numbered from 1."""

_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class SseFrame:
    """One event in wire form: id `<turn>.<n>`, name, and data as JSON text."""

    event: str
    data: str
    id: str | None = None

    def encode(self) -> bytes:
        """Return the frame's bytes, including the blank line at its end."""
        if self.event == COMMENT:
            return f": {self.data}\n\n".encode()
        head = f"id: {self.id}\n" if self.id is not None else ""
        data = "\n".join(f"data: {line}" for line in self.data.split("\n"))
        return f"{head}event: {self.event}\n{data}\n\n".encode()

    def parse(self) -> ChatEvent:
        """Return the typed event.

        Raises KeyError for an unknown name and pydantic.ValidationError for invalid data.
        """
        return EVENT_TYPES[self.event].model_validate_json(self.data)


THINKING: Final = SseFrame(event=COMMENT, data="thinking")
"""Sent once a second by an engine whose model reasons before its first word.

A caller that receives it extends its deadline for that word. It is a comment, since clients of
earlier versions know no other events.
"""


def frame(event: ChatEvent, event_id: str) -> SseFrame:
    """Return the frame of an event with its id."""
    return SseFrame(event=EVENT_NAMES[type(event)], data=event.to_json(), id=event_id)


def split_event_id(event_id: str) -> tuple[int, int]:
    """Return (turn, number) of an event id, (42, 7) of `"42.7"`.

    Raises ValueError for any other form.
    """
    turn, _, number = event_id.partition(".")
    if not (_is_count(turn) and _is_count(number)):
        raise ValueError(f"an event id is <turn>.<n>, not {event_id[:40]!r}")
    return int(turn), int(number)


def _is_count(text: str) -> bool:
    return len(text) <= _DIGITS and text.isascii() and text.isdigit()


class SseParser:
    """Parses a byte stream that may be split anywhere into whole frames.

    Comments (heartbeats) are dropped, or returned as frames with `comments=True`.
    """

    def __init__(
        self, *, max_event_bytes: int = limits.MAX_EVENT_BYTES, comments: bool = False
    ) -> None:
        self._max, self._comments = max_event_bytes, comments
        self._rest = b""
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id: str | None = None

    def feed(self, data: bytes) -> Iterator[SseFrame]:
        """Yield the frames that these bytes complete.

        Raises ValueError for an event over the limit or for invalid UTF-8.
        """
        if self._after_cr and data:
            # CR LF is one line end even when the two bytes arrive separately.
            data = data[1:] if data[:1] == b"\n" else data
            self._after_cr = False
        self._rest += data
        while (cut := self._line_end()) is not None:
            line, self._rest = self._rest[: cut[0]], self._rest[cut[1] :]
            self._check_size(line)
            found = self._take(line)
            if found is not None:
                yield found
        self._check_size(self._rest)

    def _check_size(self, line: bytes) -> None:
        # Checked per line and not per feed, so that the limit does not depend on how the bytes are
        # split.
        if len(line) + self._size > self._max:
            raise ValueError(f"an event is longer than {self._max} bytes")

    def _line_end(self) -> tuple[int, int] | None:
        ends = [at for at in (self._rest.find(b"\n"), self._rest.find(b"\r")) if at >= 0]
        if not ends:
            return None
        at = min(ends)
        if self._rest[at : at + 1] == b"\r":
            if at + 1 == len(self._rest):
                self._after_cr = True
            elif self._rest[at + 1 : at + 2] == b"\n":
                return at, at + 2
        return at, at + 1

    def _take(self, raw: bytes) -> SseFrame | None:
        if not raw:
            return self._dispatch()
        field, _, value = raw.decode("utf-8").partition(":")
        value = value.removeprefix(" ")
        if not field and self._comments:
            return SseFrame(event=COMMENT, data=value)
        if field == "data":
            self._data.append(value)
            self._size += len(raw)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> SseFrame | None:
        event, data, self._event, self._data, self._size = self._event, self._data, "", [], 0
        if not data:
            return None
        return SseFrame(event=event or "message", data="\n".join(data), id=self._id)

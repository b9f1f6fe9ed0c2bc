"""Bodies of the HTTP endpoints: turns, STOP, history and errors."""

import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from dialog_contracts import limits
from dialog_contracts.model import (
    SESSION_SELECTOR,
    Count,
    SessionId,
    ShortText,
    SnakeModel,
    TraceParent,
    Turn,
    WireModel,
)

CLIENT_HEADER: Final = "x-vtuber-client"
"""Internal header, set by the gateway: the client of the request, as limits count clients."""


CLIENT_BUSY: Final = "client_busy"
"""Error code of an engine's 429 about the caller's client and not about the engine.

The turn is then not sent to another engine or to the legacy pipeline.
"""


NOT_BLANK: Final = "[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200b\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff]"
r"""Pattern of a character that is neither white space nor a control character.

It is spelled out because `\S` means something else in each language's regular expressions.
"""

_NOT_BLANK: Final = re.compile(NOT_BLANK)


class FlagSet(SnakeModel):
    """The five flags as one turn uses them.

    On the wire, too, the field names are the flags' names.
    """

    ENABLE_SYNC_CORE: bool = True
    SYNC_TTS_STREAMING: bool = False
    SYNC_TTS_BARGE_IN: bool = False
    ENABLE_STREAMS_OUTBOX: bool = False
    ENABLE_LTM: bool = False
    generation: int = Field(
        default=0,
        ge=0,
        description="Generation of the flag document these values come from; 0: environment.",
    )
    document: Annotated[str, StringConstraints(pattern=SESSION_SELECTOR)] | None = Field(
        default=None,
        description="Session of that document, `*` for every session; absent: environment.",
    )


class TurnType(StrEnum):
    """Type of a request's content."""

    TEXT = "TEXT"
    ASR_FINAL = "ASR_FINAL"
    COMMAND = "COMMAND"


class Command(StrEnum):
    """The verbs of a COMMAND."""

    STOP = "STOP"
    RESET = "RESET"
    SAY = "SAY"


def _conditions() -> dict[str, Any]:
    """Return the JSON schema conditions of a COMMAND."""
    verb: dict[str, Any] = {"type": {"const": TurnType.COMMAND}}
    says = {"properties": verb, "required": ["type"]}
    of_say = {
        "properties": {**verb, "content": {"const": Command.SAY}},
        "required": ["type", "content"],
    }
    text = {"properties": {"text": {"type": "string", "pattern": NOT_BLANK}}, "required": ["text"]}
    return {
        "allOf": [
            {"if": says, "then": {"properties": {"content": {"enum": list(Command)}}}},
            {"if": of_say, "then": {"properties": {"meta": text}, "required": ["meta"]}},
        ]
    }


class RequestMeta(WireModel):
    """Metadata of a request.

    `flags`, `client` and `knownTurn` are internal: input-handler sets them.
    """

    request_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] | None = (
        Field(
            default=None,
            description="Idempotency key of the client's message: the same key never asks the model twice.",
        )
    )
    viewer_id: ShortText | None = None
    lang: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None
    ) = None
    emotion_hint: ShortText | None = None
    text: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)] | None = Field(
        default=None, description="What SAY speaks, verbatim."
    )
    turn: Turn | None = Field(
        default=None, description="The turn that STOP means; without it, the one that sounds."
    )
    flags: FlagSet | None = Field(
        default=None,
        description="Internal: the flags of this turn, resolved once by input-handler.",
    )
    client: ShortText | None = Field(
        default=None, description="Internal: whose turn this is, as limits count clients."
    )
    known_turn: Count | None = Field(
        default=None,
        description="Internal, with a number that the caller chose: the highest one that input-handler knows.",
    )


class ChatRequest(WireModel):
    """Body of `POST /chat/stream`."""

    model_config = ConfigDict(json_schema_extra=_conditions())

    session_id: SessionId
    turn: Turn | None = Field(
        default=None, description="Optional from outside, always set by input-handler."
    )
    type: TurnType = TurnType.TEXT
    content: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)] = Field(
        description="What is said, not blank; of a COMMAND its verb.",
        json_schema_extra={"minLength": 1, "pattern": NOT_BLANK},
    )
    meta: RequestMeta = RequestMeta()

    @field_validator("content")
    @classmethod
    def _not_blank(cls, content: str) -> str:
        if _NOT_BLANK.search(content) is None:
            raise ValueError("content is blank")
        # A lone surrogate cannot be encoded again; it would fail at every service after this one.
        content.encode("utf-8")
        return content

    @model_validator(mode="after")
    def _command_is_known(self) -> Self:
        if self.type is TurnType.COMMAND:
            if self.content not in set(Command):
                raise ValueError(f"content of a COMMAND is one of {', '.join(Command)}")
            if self.content == Command.SAY and _NOT_BLANK.search(self.meta.text or "") is None:
                raise ValueError("meta.text is what SAY speaks; it is missing or blank")
        return self


class StopRequest(WireModel):
    """Body of `POST /control/stop`, `/control/pause` and `/control/resume`."""

    session_id: SessionId
    turn: Turn | None = None
    reason: ShortText | None = None


class StopReply(WireModel):
    """Body of the 202 of `POST /control/stop`; `stopped` is false when nothing was playing."""

    ok: Literal[True] = True
    stopped: bool


class HoldReply(WireModel):
    """Body of the 202 of `POST /control/pause` and `/control/resume`, which are internal.

    `held` is false where there was nothing to pause or resume.
    """

    ok: Literal[True] = True
    held: bool
    turn: Turn | None = Field(
        default=None, description="The turn that was held; what follows, a STOP too, names it."
    )


class ErrorBody(WireModel):
    """Body of every HTTP error of every service."""

    code: str
    message: str
    retryable: bool = False
    field: str | None = Field(
        default=None, description="The field that is wrong, as a path, e.g. meta.lang."
    )
    limit: int | None = Field(
        default=None, description="The limit that was passed, in the unit the message says."
    )
    next_turn: Turn | None = Field(
        default=None, description="With turn_taken: the first number that is free."
    )
    owner: int | None = Field(
        default=None,
        ge=0,
        description="With not_owner: ordinal of the engine that has the session.",
    )


class TurnRecord(WireModel):
    """One finished turn, in history and as an entry of the sorted set `session:{id}:turns`."""

    turn: Turn
    user: str
    reply: str
    ts: int = Field(description="Unix seconds of the commit.")
    interrupted: bool = False
    path: Literal["sync", "legacy"] = "sync"
    request_id: str | None = Field(
        default=None, description="Idempotency key of the message, for the session's next owner."
    )
    viewer_id: ShortText | None = Field(default=None, description="Who spoke.")
    lang: ShortText | None = None
    traceparent: TraceParent | None = None
    streams_outbox: bool | None = Field(
        default=None,
        description="ENABLE_STREAMS_OUTBOX of a legacy turn: its importer stores its events.",
    )
    vectorize: bool | None = Field(default=None, description="ENABLE_LTM of a legacy turn.")


class SessionTurns(WireModel):
    """Body of `GET /sessions/{id}/turns`, oldest turn first."""

    session_id: SessionId
    turns: list[TurnRecord]


class SessionSummary(WireModel):
    """One entry of `GET /sessions`."""

    session_id: SessionId
    last_active: int = Field(description="Unix seconds of the last turn.")


class SessionList(WireModel):
    """Body of `GET /sessions`, most recently active session first."""

    sessions: list[SessionSummary]


class ProviderReport(WireModel):
    """State of the language models (`details.models`) or voices (`details.voices`) on `/readyz`.

    The engine and the services of the legacy pipeline report it.
    """

    configured: list[str] = Field(description="By name, in the order in which they are asked.")
    in_use: str | None = Field(
        default=None, description="The first of them that answers; absent while none has."
    )
    about: dict[str, str] = Field(
        default={}, description="Model and address, of those that have some."
    )
    why_not: dict[str, str] = Field(
        default={}, description="Of each that does not answer, or is not set up: why."
    )


class Readiness(WireModel):
    """Body of `/readyz`: status 200 when `ready`, else 503 with the reasons."""

    ready: bool
    service: str
    reasons: list[str] = []
    unsupported: dict[str, str] = Field(
        default={}, description="Flags whose current value this version cannot serve, and why."
    )
    details: dict[str, Any] = {}

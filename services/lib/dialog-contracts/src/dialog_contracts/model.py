"""Base classes and common field types of all messages.

Names are camelCase on the wire and snake_case in code. Readers ignore unknown fields, and messages
are immutable.
"""

import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from dialog_contracts import limits

SESSION_ID: Final = r"[A-Za-z0-9_-]{1,64}"
"""Pattern of a session id."""

SessionId = Annotated[str, StringConstraints(pattern=f"^{SESSION_ID}$")]
"""Id of a live room or a conversation; it outlives connections."""

SESSION_SELECTOR: Final = rf"^(\*|{SESSION_ID})$"
"""Pattern of one session id, or `*` for every session."""

SESSION_ID_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ -"


def _number(value: object) -> object:
    """Accept only JSON numbers, as the schema says: 7.0 is valid, "7" and true are not."""
    if isinstance(value, bool | str | bytes):
        raise ValueError("a turn is a whole number")
    return value


Turn = Annotated[int, Field(ge=1, le=limits.MAX_TURN), BeforeValidator(_number)]
"""Number of a turn within its session, from 1."""

Count = Annotated[int, Field(ge=0, le=limits.MAX_COUNT)]
"""A sequence number, an offset in ms or a position in a text."""

ShortText = Annotated[str, StringConstraints(max_length=limits.MAX_META_CHARS)]

TraceParent = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]
"""`traceparent` of W3C Trace Context, version 00."""


class WireModel(BaseModel):
    """Base class of every message."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
    )

    def to_json(self) -> str:
        """Return the message as compact JSON, without the fields that are None."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the message as JSON-compatible values under their wire names."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse one message; raises pydantic.ValidationError, which names the field."""
        return cls.model_validate_json(text)


class SnakeModel(WireModel):
    """A message whose wire names equal the names in code.

    The legacy dialect uses it, and messages whose fields the seed plan spells in snake_case.
    """

    model_config = ConfigDict(alias_generator=None)


def is_session_id(text: str) -> bool:
    """Return whether a text may be a session id."""
    return re.fullmatch(SESSION_ID, text) is not None


def correlation_id(session_id: str, turn: int) -> str:
    """Return the id of a turn in logs, Redis and the outbox, for example `live-001#42`."""
    return f"{session_id}#{turn}"

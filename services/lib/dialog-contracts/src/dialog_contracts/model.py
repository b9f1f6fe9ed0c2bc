"""How a message behaves: camelCase on the wire, snake_case in code, unknown fields tolerated by readers, never mutable."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from dialog_contracts import limits

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A live room or a conversation; it outlives connections."""


def _number(value: object) -> object:
    """JSON's numbers only, as its schema says: 7.0 is one, "7" and true are none."""
    if isinstance(value, bool | str | bytes):
        raise ValueError("a turn is a whole number")
    return value


Turn = Annotated[int, Field(ge=1, le=limits.MAX_TURN), BeforeValidator(_number)]
"""Number of a turn inside its session, from 1."""

Count = Annotated[int, Field(ge=0, le=limits.MAX_COUNT)]
"""A seq, an offset in ms or a place in a text."""

ShortText = Annotated[str, StringConstraints(max_length=limits.MAX_META_CHARS)]

TraceParent = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]
"""W3C trace context, version 00."""


class WireModel(BaseModel):
    """Base of every message."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
    )

    def to_json(self) -> str:
        """The message as compact JSON, without the fields that hold None."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    def to_wire(self) -> dict[str, Any]:
        """The message as JSON-ready values under their wire names."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read one message; raises pydantic.ValidationError naming the field."""
        return cls.model_validate_json(text)


class SnakeModel(WireModel):
    """A message whose wire names are as in code: the legacy dialect, and fields that the seed plan spells so."""

    model_config = ConfigDict(alias_generator=None)


def correlation_id(session_id: str, turn: int) -> str:
    """`live-001#42`: the name of a turn everywhere, in logs, Redis and the outbox."""
    return f"{session_id}#{turn}"

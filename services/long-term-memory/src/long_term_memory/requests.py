"""Data of the requests to long-term memory, by type. The limits bound the memory of one user."""

import json
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, field_validator

from dialog_contracts.model import SnakeModel

CONTENT_CHARS: Final = 2_000
METADATA_CHARS: Final = 2_000
FOUND_MAX: Final = 50
PROFILE_FIELDS: Final = 50
PROFILE_CHARS: Final = 1_000

Content = Annotated[str, StringConstraints(min_length=1, max_length=CONTENT_CHARS)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SearchRequest(SnakeModel):
    """Type `search`: find the most similar memories."""

    query: Content
    limit: int = Field(default=5, ge=1, le=FOUND_MAX)


class AddRequest(SnakeModel):
    """Type `add`: store a text. Its source may be in `metadata`."""

    content: Content
    metadata: dict[str, Any] = {}

    @field_validator("content")
    @classmethod
    def _not_blank(cls, content: str) -> str:
        if not content.strip():
            raise ValueError("is blank")
        return content

    @field_validator("metadata", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("metadata")
    @classmethod
    def _not_too_much(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(metadata, ensure_ascii=False)) > METADATA_CHARS:
            raise ValueError(f"has more than {METADATA_CHARS} characters of JSON")
        return metadata

    @property
    def by_user(self) -> bool:
        """Whether the user said it; replies of the character are not stored."""
        return bool(self.metadata.get("source", "user") == "user")


class ProfileUpdateRequest(SnakeModel):
    """Type `profile_update`: fields to set; one that is null is removed."""

    updates: dict[FieldName, Any] = Field(min_length=1, max_length=PROFILE_FIELDS)

    @field_validator("updates")
    @classmethod
    def _not_too_much(cls, updates: dict[str, Any]) -> dict[str, Any]:
        for name, value in updates.items():
            if len(json.dumps(value, ensure_ascii=False)) > PROFILE_CHARS:
                raise ValueError(f"{name} has more than {PROFILE_CHARS} characters of JSON")
        return updates

"""Settings of long-term-memory; no other module reads its environment."""

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class LtmSettings(ServiceSettings):
    """Settings of long-term-memory beside those of ServiceSettings."""

    port: int = Field(default=8204, ge=1, le=65535)

    max_memories_per_user: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_memories_per_user", "memories_a_user"),
    )
    """Number of stored memories of a user; the oldest are deleted."""

    retention_days: int = Field(
        default=365, ge=1, validation_alias=AliasChoices("retention_days", "kept_days")
    )
    """Days without a change after which a user's memories, and the profile, are deleted."""

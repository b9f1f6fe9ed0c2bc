"""Settings of long-term-memory; the only reader of its environment."""

from pydantic import AliasChoices, Field

from service_runtime.settings import ServiceSettings


class LtmSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8204, ge=1, le=65535)

    max_memories_per_user: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("max_memories_per_user", "memories_a_user"),
    )
    """The oldest beyond that are forgotten."""

    retention_days: int = Field(
        default=365, ge=1, validation_alias=AliasChoices("retention_days", "kept_days")
    )
    """A user of whom nothing is heard for so long is forgotten."""

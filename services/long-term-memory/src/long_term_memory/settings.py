"""Settings of long-term-memory; the only reader of its environment."""

from pydantic import Field

from service_runtime.settings import ServiceSettings


class LtmSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8204, ge=1, le=65535)

    memories_a_user: int = Field(default=1_000, ge=1, le=100_000)
    """The oldest beyond that are forgotten."""

    kept_days: int = Field(default=365, ge=1)
    """A user of whom nothing is heard for so long is forgotten."""

"""Settings of memory; the only reader of its environment."""

from pydantic import Field

from service_runtime.settings import ServiceSettings


class MemorySettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8201, ge=1, le=65535)

    context_messages: int = Field(default=100, ge=1, le=1_000)
    """Messages kept of each viewer."""

    context_ttl_s: int = Field(default=24 * 3600, ge=60)

"""Settings of memory; no other module reads its environment."""

from pydantic import Field

from service_runtime.settings import ServiceSettings


class MemorySettings(ServiceSettings):
    """Settings of memory beside those of ServiceSettings."""

    port: int = Field(default=8201, ge=1, le=65535)

    context_messages: int = Field(default=100, ge=1, le=1_000)
    """Number of stored messages of each viewer."""

    context_ttl_s: int = Field(default=24 * 3600, ge=60)

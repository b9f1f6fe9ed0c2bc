"""Settings of gateway; the only reader of its environment."""

from typing import Annotated

from pydantic import AliasChoices, Field, IPvAnyNetwork, field_validator
from pydantic_settings import NoDecode

from service_runtime.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    port: int = Field(default=8000, ge=1, le=65535)

    input_handler_url: str = "http://127.0.0.1:8001"
    output_handler_url: str = "http://127.0.0.1:8002"

    character_name: str | None = Field(default=None, max_length=40)
    """What the page calls her. Absent: the name of the built-in persona, and none where PERSONA is another one."""

    persona: str | None = None
    """The engine's; the page only looks whether there is one."""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of other sites whose pages may call and connect, exact, separated by commas. The gateway's own page always may."""

    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """Networks of proxies before this gateway, e.g. 10.0.0.0/8, separated by commas: limits count the client that these name in
    X-Forwarded-For, and not the proxy."""

    rate_limit_per_second: float = Field(
        default=20,
        gt=0,
        validation_alias=AliasChoices("rate_limit_per_second", "requests_a_second"),
    )
    """Turns, STOPs and new sockets a client address may begin each second, on average, and as often read something; over it 429."""

    rate_limit_burst: int = Field(
        default=60, ge=1, validation_alias=AliasChoices("rate_limit_burst", "requests_at_once")
    )
    """… and how many it may have saved up."""

    max_connections_per_client: int = Field(
        default=500,
        ge=1,
        validation_alias=AliasChoices("max_connections_per_client", "sockets_an_address"),
    )
    """Open WebSockets of one client address."""

    @property
    def character(self) -> str:
        """For the page: her name, `default`, or empty."""
        return self.character_name or ("default" if self.persona is None else "")

    @field_validator("allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

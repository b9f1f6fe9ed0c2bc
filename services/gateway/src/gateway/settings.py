"""Settings of gateway; the only reader of its environment."""

from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, IPvAnyNetwork, SecretStr
from pydantic_settings import NoDecode

from service_runtime.settings import CommaSeparated, ServiceSettings, split_commas


class GatewaySettings(ServiceSettings):
    """See `ServiceSettings` for the settings that all services share."""

    port: int = Field(default=8000, ge=1, le=65535)

    input_handler_url: str = "http://127.0.0.1:8001"
    output_handler_url: str = "http://127.0.0.1:8002"
    analytics_url: str = "http://127.0.0.1:8206"
    """Address of analytics_worker."""

    admin_token: SecretStr | None = None
    """Bearer token for endpoints that only administrators may use.

    Without it they are open to this machine alone.
    """

    character_name: str | None = Field(default=None, max_length=40)
    """Name of the character on the page.

    If it is absent, the page shows the built-in persona's name, and no name when PERSONA is set.
    """

    persona: str | None = None
    """The engine's persona; the gateway only checks whether it is set."""

    allowed_origins: CommaSeparated = ()
    """Origins of other sites whose pages may call and connect, exact, separated by commas.

    The gateway's own page is always allowed.
    """

    trusted_proxies: Annotated[
        tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(split_commas)
    ] = ()
    """Networks of proxies before this gateway, e.g. 10.0.0.0/8, separated by commas.

    Limits count the client that these proxies name in X-Forwarded-For, and not the proxy.
    """

    rate_limit_per_second: float = Field(
        default=20,
        gt=0,
        validation_alias=AliasChoices("rate_limit_per_second", "requests_a_second"),
    )
    """Average rate of turns, STOPs and new sockets per client address and second; over it 429.

    The same rate applies to reads, separately.
    """

    rate_limit_burst: int = Field(
        default=60, ge=1, validation_alias=AliasChoices("rate_limit_burst", "requests_at_once")
    )
    """Number of requests that a client address may send at once."""

    max_connections_per_client: int = Field(
        default=500,
        ge=1,
        validation_alias=AliasChoices("max_connections_per_client", "sockets_an_address"),
    )
    """Largest number of open WebSockets of one client address."""

    @property
    def character(self) -> str:
        """The character's name for the page, `default`, or an empty string."""
        return self.character_name or ("default" if self.persona is None else "")

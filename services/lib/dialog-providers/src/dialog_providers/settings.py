"""Settings that language models and voices have in common."""

import re
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator

from dialog_providers.egress import EgressRules
from dialog_providers.proxies import Proxies
from service_runtime.settings import CommaSeparated, ServiceSettings

OPENAI_URL: Final = "https://api.openai.com/v1"


class ModelSettings(ServiceSettings):
    """See `ServiceSettings` for the settings that all services share."""

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """Base URL of any OpenAI-compatible server, e.g. `http://127.0.0.1:11434/v1`."""

    session_keys_dir: Path | None = None
    """Folder of the mounted Secret with the keys that VtuberSessions refer to.

    Files may appear and disappear while the service runs.
    """

    session_egress_allow: CommaSeparated = ()
    """Destinations of a session's own `baseUrl` that are allowed beside public addresses.

    Entries, separated by commas: `loopback`, `private`, `cluster`, `any`, a network (10.1.0.0/16),
    a name with or without a port (ollama.llm.svc:11434). Link-local and metadata addresses are
    never allowed.
    """

    provider_proxy: str | None = Field(default=None, pattern=r"^(none|https?://\S+)$")
    """HTTP proxy for models and voices outside of this machine and its cluster.

    `none` means no proxy, whatever the environment says.
    """

    http_proxy: str | None = None
    https_proxy: str | None = None
    all_proxy: str | None = None
    no_proxy: str = ""
    """The environment's four usual variables.

    They apply to models and voices; our services reach each other without a proxy.
    """

    default_lang: str = Field(default="zh", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """Language of a turn whose request names none and whose text does not show one."""

    @field_validator("openai_api_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        # A client that cannot send the key as a header raises an error that contains it.
        if key is not None and re.fullmatch("[!-~]+", key.get_secret_value()) is None:
            raise ValueError("a key is one word of printable ASCII characters; this one is not")
        return key

    def openai_url(self, chosen: str | None = None) -> str:
        """Return the server's base URL: the session's, the service's, or OpenAI's own."""
        return chosen or self.openai_base_url or OPENAI_URL

    def openai_key(self, foreign_url: str | None = None) -> str:
        """Return the service's own key, or "none".

        The key is never returned for an address that a session's author chose.
        """
        if self.openai_api_key is None or (
            foreign_url is not None and foreign_url != self.openai_base_url
        ):
            return "none"
        return self.openai_api_key.get_secret_value()

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy for this URL, or None."""
        proxies = Proxies(
            self.provider_proxy, self.http_proxy, self.https_proxy, self.all_proxy, self.no_proxy
        )
        return proxies.proxy_for(url)

    def egress_for(self, chosen: str | None) -> EgressRules | None:
        """Return the rules for an address that a session chose; None for the service's own.

        The operator of the service is responsible for the service's own address.
        """
        if chosen is None or chosen == self.openai_base_url:
            return None
        return EgressRules.parse(self.session_egress_allow)

    @field_validator("session_egress_allow")
    @classmethod
    def _allowed_is_understood(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        EgressRules.parse(value)
        return value

"""Settings of services that speak for the character: what language models and voices have in common."""

import re
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator

from service_runtime.settings import ServiceSettings

OPENAI_URL: Final = "https://api.openai.com/v1"


class ModelSettings(ServiceSettings):
    """See `ServiceSettings` for what all services share."""

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """Any OpenAI-compatible server, e.g. `http://127.0.0.1:11434/v1`."""

    session_keys_dir: Path | None = None
    """Folder of the mounted Secret with the keys that VtuberSessions refer to. Files may come and go."""

    default_lang: str = Field(default="zh", pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """Language of a turn whose request names none and whose text shows none."""

    @field_validator("openai_api_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        # A client that cannot send it as a header raises an error that repeats it.
        if key is not None and re.fullmatch("[!-~]+", key.get_secret_value()) is None:
            raise ValueError("a key is one word of printable ASCII characters; this one is not")
        return key

    def openai_url(self, chosen: str | None = None) -> str:
        """The server's address: a session's, the service's, or OpenAI's own."""
        return chosen or self.openai_base_url or OPENAI_URL

    def openai_key(self, foreign_url: str | None = None) -> str:
        """The service's own key, but never for an address that a session's author chose."""
        if self.openai_api_key is None or (foreign_url is not None and foreign_url != self.openai_base_url):
            return "none"
        return self.openai_api_key.get_secret_value()

"""Settings that every service has. A service's own `settings.py` extends this class and is its only reader of the environment."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read once in `__main__`, then passed on as an argument."""

    # What a person set may be a secret in the wrong place: an error names the setting and not its value.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` inside a container."""

    port: int = Field(default=8000, ge=1, le=65535)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis or Valkey. A service starts and goes on without it; what needs it then says so."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names in requests' Host headers that this service answers to, separated by commas, `*.` for all below one. IP addresses, `localhost`
    and the machine's own name always count; for services behind the gateway so do names without a dot and those of a cluster."""

    tls_certificate: Path | None = None
    """PEM file to speak https with, where nothing before the service does (`vtuber run --https`); with TLS_KEY."""

    tls_key: Path | None = None

    pod_name: str | None = Field(default=None, max_length=253)
    """This pod's name, under which it acknowledges flag documents; absent outside a cluster."""

    flags_file: Path | None = None
    """`flags.json` of the mounted ConfigMap: the flag documents for a start without Redis. It may be missing."""

    shutdown_grace_s: int = Field(default=3, ge=0, le=600)
    """Seconds that running requests get to finish after SIGTERM."""

    legacy_enabled: bool = True
    """Whether the legacy chain runs. Without it nothing is queued for it, and what only it can do is answered with a clear error."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @property
    def process_name(self) -> str:
        """Unique among those that run, and the same after a restart: the pod's name, else machine and port."""
        return self.pod_name or f"{socket.gethostname()}:{self.port}"

"""Settings that every service has.

A service's own `settings.py` extends this class and is the only reader of its environment.
"""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def split_commas(value: object) -> object:
    """Split text at commas, without blank parts; any other value is returned unchanged."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)]
"""A setting with several values, separated by commas; blank ones are dropped."""


class ServiceSettings(BaseSettings):
    """Read once in `__main__`, then passed on as an argument."""

    # A value may be a secret in the wrong setting: an error names the setting and not its value.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` inside a container."""

    port: int = Field(default=8000, ge=1, le=65535)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis or Valkey.

    A service starts and continues without it; operations that need it report that it is not
    available.
    """

    allowed_hosts: CommaSeparated = ()
    """Accepted names in requests' Host headers, separated by commas.

    `*.` means all names below one.

    IP addresses, `localhost` and the machine's own name are always accepted; services behind the
    gateway also accept names without a dot and those of a cluster.
    """

    tls_certificate: Path | None = None
    """PEM file for https, where no proxy terminates TLS (`vtuber run --https`).

    Requires TLS_KEY.
    """

    tls_key: Path | None = None

    pod_name: str | None = Field(default=None, max_length=253)
    """This pod's name, under which it acknowledges flag documents; absent outside a cluster."""

    flags_file: Path | None = None
    """`flags.json` of the mounted ConfigMap: flag documents for a start without Redis.

    The file may be missing.
    """

    shutdown_grace_s: int = Field(default=3, ge=0, le=600)
    """Time in seconds for running requests to finish after SIGTERM."""

    legacy_enabled: bool = True
    """Whether the legacy pipeline runs.

    Without it no message is queued for it, and requests that only it can answer get a clear error.
    """

    @property
    def process_name(self) -> str:
        """Name that is unique among running processes and survives a restart.

        It is the pod's name, or else machine and port.
        """
        return self.pod_name or f"{socket.gethostname()}:{self.port}"

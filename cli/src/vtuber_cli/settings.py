"""Settings of the `vtuber` command; the only reader of its environment."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

VALKEY_PORT: Final = 6390


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A process to run: `python -m module`, answering on `port`."""

    name: str
    module: str
    port: int
    colour: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `vtuber run` works with. `redis_url` None: an embedded Valkey."""

    services: tuple[ServiceSpec, ...]
    profile: Mapping[str, str]
    inherited: Mapping[str, str]
    redis_url: str | None
    port: int | None


def load() -> RunSettings:
    """The declaration in `services.toml`, and REDIS_URL and PORT of the environment."""
    declared = tomllib.loads((resources.files("vtuber_cli") / "services.toml").read_text(encoding="utf-8"))
    profile = declared.pop("profile")
    services = tuple(
        ServiceSpec(name, table["module"], table["port"], table["colour"], table.get("env", {}))
        for name, table in declared.items()
    )
    environment = dict(os.environ)
    # PORT and HOST in a shell are meant for the address that people open, not for every process.
    port = environment.pop("PORT", None)
    return RunSettings(
        services=services,
        profile=profile,
        inherited=environment,
        redis_url=environment.get("REDIS_URL") or None,
        port=int(port) if port and port.isdigit() else None,
    )

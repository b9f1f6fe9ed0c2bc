"""Settings of the `vtuber` command; no other module reads its environment."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

from vtuber_cli import known_settings

GATEWAY_PORT: Final = 8000
"""Default port of the page."""

VALKEY_PORT: Final = 6390
PORTS_APART: Final = 10
"""Distance between the ports of replicas of a service."""
SCALABLE: Final = ("dialog-engine", "output-handler")
REPLICAS_MAX: Final = 9


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A process to run: `python -m module arguments`, which listens on `port`.

    `fallback`: it belongs to the legacy pipeline. `background`: it works on what turns leave behind.
    Both are started after the main path. `microphone`:
    microphones need it too, so it runs even without the legacy pipeline. `without` is a clause that
    says what is missing while it does not run. `service` is the name in `services.toml`; replicas
    have an `ordinal` from 1, which is also the end of their name.
    """

    name: str
    module: str
    port: int
    colour: str
    env: Mapping[str, str]
    fallback: bool = False
    background: bool = False
    microphone: bool = False
    arguments: tuple[str, ...] = ()
    service: str = ""
    ordinal: int = 0
    without: str = "it is missing"

    @property
    def starts_later(self) -> bool:
        """Whether turns of the main path do not need it."""
        return self.fallback or self.background


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings of `vtuber run`. `redis_url` is None for an embedded Valkey."""

    services: tuple[ServiceSpec, ...]
    profile: Mapping[str, str]
    inherited: Mapping[str, str]
    redis_url: str | None
    port: int | None
    notes: tuple[str, ...] = ()
    """Sentences for the user: deviations from the profile, and probable spelling errors."""


def load(changes: Sequence[str] = (), scales: Sequence[str] = ()) -> RunSettings:
    """Read `services.toml` and the environment.

    `changes` are `service.NAME=value` (`--set`), `scales` are `service=2` (`--scale`). Raises
    ValueError with a sentence for the user.
    """
    # Imported here, because `vtuber models` runs in image builds, where nothing is installed.
    from vtuber_cli.profile import apply_profile, is_off

    declared = tomllib.loads(
        (resources.files("vtuber_cli") / "services.toml").read_text(encoding="utf-8")
    )
    profile = declared.pop("profile")
    environment = dict(os.environ)
    legacy, microphone, workers = (
        not is_off(environment.get(name, ""))
        for name in ("LEGACY_ENABLED", "MICROPHONE_ENABLED", "WORKERS_ENABLED")
    )
    for change in changes:
        service, name, value = _change(change)
        if service not in declared:
            raise ValueError(
                f"--set {change}: there is no service {service}; the services are "
                f"{', '.join(declared)}"
            )
        _known(change, service, name, known_settings.of_service(declared[service]["module"]))
        declared[service].setdefault("env", {})[name] = value
    # Only input-handler reads flags.
    flags = {
        **environment,
        **{
            name: declared["input-handler"]["env"][name]
            for name in profile
            if name in declared["input-handler"]["env"]
        },
    }
    profile, notes = apply_profile(profile, flags)
    if is_off(flags.get("ENABLE_SYNC_CORE", "")) and not legacy:
        raise ValueError(
            "ENABLE_SYNC_CORE and LEGACY_ENABLED are both off, so nothing answers: leave one of "
            "them on"
        )
    # An empty variable counts as not set and must not replace a value of the profile.
    environment = {
        name: value for name, value in environment.items() if value.strip() or name not in profile
    }
    replicas = dict(_scale(scale, SCALABLE) for scale in scales)
    services = tuple(
        ServiceSpec(
            name=f"{name}-{ordinal}" if ordinal else name,
            module=table["module"],
            port=table["port"] + PORTS_APART * ordinal,
            colour=table["colour"],
            env=table.get("env", {}),
            fallback=table.get("fallback", False),
            background=table.get("background", False),
            microphone=table.get("microphone", False),
            arguments=tuple(table.get("arguments", ())),
            service=name,
            ordinal=ordinal,
            without=table.get("without", ""),
        )
        for name, table in declared.items()
        for ordinal in range(replicas.get(name, 1))
        if (legacy or not table.get("fallback", False) or (microphone and table.get("microphone")))
        and (workers or not table.get("background", False))
    )
    known = {
        *known_settings.RUN_SETTINGS,
        *(
            name
            for table in declared.values()
            for name in known_settings.of_service(table["module"])
        ),
    }
    # PORT is meant for the page, not for every process. HOST is ignored, because some shells set it
    # to the name of the machine.
    port = environment.pop("PORT", "").strip()
    return RunSettings(
        services=services,
        profile=profile,
        inherited=environment,
        redis_url=environment.get("REDIS_URL") or None,
        port=port_number(port, "PORT") if port else None,
        notes=(*notes, *known_settings.warnings(environment, known)),
    )


PROVIDER_SETTINGS: Final[Mapping[str, str]] = {
    "LLM_CHAIN": "openai,rules",
    "LLM_MODEL": "",
    "OPENAI_BASE_URL": "",
    "OPENAI_API_KEY": "not set",
    "VOICE_CHAIN": "espeak",
    "PROVIDER_PROXY": "",
    "HTTP_PROXY": "",
    "HTTPS_PROXY": "",
    "ALL_PROXY": "",
    "NO_PROXY": "",
}
"""Settings that select providers, with their defaults; an empty default is not shown."""


def of_providers() -> dict[str, str]:
    """Return these settings for display: no keys, and only scheme, host and port of URLs."""
    notes: dict[str, str] = {}
    for name, usual in PROVIDER_SETTINGS.items():
        value = os.environ.get(name) or os.environ.get(name.lower())
        if name.endswith("_KEY"):
            notes[name] = "set" if value else usual
        elif value and (name.endswith("_URL") or (name.endswith("_PROXY") and name != "NO_PROXY")):
            notes[name] = _place(value)
        elif value or usual:
            notes[name] = value or f"{usual} (usual)"
    return notes


def _place(address: str) -> str:
    parts = urlsplit(address if "//" in address else f"//{address}")
    return f"{parts.scheme + '://' if parts.scheme else ''}{parts.hostname or '?'}{f':{parts.port}' if parts.port else ''}"


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a child process, with these changes."""
    return {**os.environ, **changes}


def _change(text: str) -> tuple[str, str, str]:
    target, equals, value = text.partition("=")
    service, dot, name = target.rpartition(".")
    if not (equals and dot and service and name):
        raise ValueError(
            f"--set {text}: write SERVICE.NAME=VALUE, e.g. dialog-engine.LLM_CHAIN=rules"
        )
    return service, name.upper(), value


def _known(change: str, service: str, name: str, names: set[str]) -> None:
    if name in known_settings.SET_BY_RUN:
        raise ValueError(
            f"--set {change}: a run sets {name} of its processes itself; use "
            f"{known_settings.SET_BY_RUN[name]}"
        )
    if name not in names:
        close = known_settings.closest_setting(name, names)
        hint = f"did you mean {close}? Its" if close else "its"
        there = ", ".join(sorted(names - set(known_settings.SET_BY_RUN)))
        raise ValueError(
            f"--set {change}: {service} has no setting {name}; {hint} settings are {there}"
        )


def port_number(text: str, name: str) -> int:
    """Parse a port of the user. Raises ValueError with a sentence."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65_535):
        raise ValueError(f"{name}={text}: a port is a number from 1 to 65535, e.g. {name}=8080")
    return int(text)


def gateway_url() -> str:
    """Return the default URL of the gateway: VTUBER_URL, or this machine."""
    return os.environ.get("VTUBER_URL", "").strip() or f"http://127.0.0.1:{GATEWAY_PORT}"


def admin_token() -> str | None:
    """Return ADMIN_TOKEN, for a gateway on another machine."""
    return os.environ.get("ADMIN_TOKEN", "").strip() or None


def _scale(text: str, scalable: Sequence[str]) -> tuple[str, int]:
    service, _, count = text.partition("=")
    if service not in scalable or not count.isdigit() or not 1 <= int(count) <= REPLICAS_MAX:
        raise ValueError(
            f"--scale {text}: write SERVICE=1 to SERVICE={REPLICAS_MAX}; the service is one of "
            f"{', '.join(scalable)}"
        )
    return service, int(count)

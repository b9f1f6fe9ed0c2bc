"""Placeholders in braces in `services.toml`, by which a service gets ports of other services."""

from collections.abc import Sequence
from pathlib import Path

from vtuber_cli.settings import ServiceSpec


def expand(value: str, spec: ServiceSpec, services: Sequence[ServiceSpec], data: Path) -> str:
    """Return the value for `spec`; unknown names in braces stay as they are."""
    names: dict[str, object] = {"data": data.resolve(), "self": spec.name, "ordinal": spec.ordinal}
    for service in {other.service for other in services}:
        ports = [other.port for other in services if other.service == service]
        names |= {service: ports[0], f"{service}?": len(ports) > 1}
        if f"{{{service}*}}" in value:
            value = ",".join(value.replace(f"{{{service}*}}", str(port)) for port in ports)
    for name, replacement in names.items():
        value = value.replace("{" + name + "}", str(replacement))
    return value

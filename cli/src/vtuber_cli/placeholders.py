"""How a service of a run learns of the others: names in braces in `services.toml`."""

from collections.abc import Sequence
from pathlib import Path

from vtuber_cli.settings import ServiceSpec


def expand(value: str, spec: ServiceSpec, services: Sequence[ServiceSpec], data: Path) -> str:
    """The value as `spec` gets it; braces that name nothing stay as they are."""
    names: dict[str, object] = {"data": data.resolve(), "self": spec.name, "ordinal": spec.ordinal}
    for service in {other.service for other in services}:
        ports = [other.port for other in services if other.service == service]
        names |= {service: ports[0], f"{service}?": len(ports) > 1}
        if f"{{{service}*}}" in value:
            value = ",".join(value.replace(f"{{{service}*}}", str(port)) for port in ports)
    for name, replacement in names.items():
        value = value.replace("{" + name + "}", str(replacement))
    return value

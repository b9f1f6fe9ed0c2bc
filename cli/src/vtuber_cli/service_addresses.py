"""Where each service of a run answers, written into the run's data folder: `vtuber doctor` asks there and not at the usual ports.

A run leaves the file behind, with the number of its process: of a run that has ended it says nothing any more.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from vtuber_cli import addresses, state_file
from vtuber_cli.settings import ServiceSpec

_FILE: Final = "addresses.json"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """`host` is an address of this machine. `fallback`: part of the legacy chain."""

    name: str
    port: int
    host: str = addresses.LOOPBACK
    scheme: str = "http"
    fallback: bool = False


def run_addresses(
    services: Sequence[ServiceSpec], page: str, host: str, scheme: str
) -> list[ServiceAddress]:
    """Of a run whose service `page` listens on `host`, the others on loopback."""
    return [
        ServiceAddress(spec.name, spec.port, addresses.local_host(host), scheme, spec.fallback)
        if spec.name == page
        else ServiceAddress(spec.name, spec.port, fallback=spec.fallback)
        for spec in services
    ]


def default_addresses(services: Sequence[ServiceSpec]) -> list[ServiceAddress]:
    """Of a run that nobody told anything else."""
    return [ServiceAddress(spec.name, spec.port, fallback=spec.fallback) for spec in services]


def write(folder: Path, found: Sequence[ServiceAddress]) -> str | None:
    """A sentence where it cannot be written."""
    return state_file.write(
        folder / _FILE, {"pid": os.getpid(), "services": [asdict(one) for one in found]}
    )


def read(folder: Path) -> list[ServiceAddress]:
    """Of the run that has this folder; empty where none has it, or where the file cannot be understood."""
    try:
        known = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        os.kill(known["pid"], 0)
        return [ServiceAddress(**one) for one in known["services"]]
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return []

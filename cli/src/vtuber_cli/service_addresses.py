"""Addresses of the services of a run, stored in its data folder for `vtuber doctor`.

The file also holds the process id of the run. It stays after the run has ended and is then ignored.
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
    """Address of one service. `host` is an address of this machine.

    `fallback`: turns of the main path do not need it.
    """

    name: str
    port: int
    host: str = addresses.LOOPBACK
    scheme: str = "http"
    fallback: bool = False


def run_addresses(
    services: Sequence[ServiceSpec], page: str, host: str, scheme: str
) -> list[ServiceAddress]:
    """Return the addresses in a run whose service `page` listens on `host`.

    All others listen on loopback.
    """
    return [
        ServiceAddress(spec.name, spec.port, addresses.local_host(host), scheme, spec.starts_later)
        if spec.name == page
        else ServiceAddress(spec.name, spec.port, fallback=spec.starts_later)
        for spec in services
    ]


def default_addresses(services: Sequence[ServiceSpec]) -> list[ServiceAddress]:
    """Return the addresses of a run with default ports."""
    return [ServiceAddress(spec.name, spec.port, fallback=spec.starts_later) for spec in services]


def write(folder: Path, found: Sequence[ServiceAddress]) -> str | None:
    """Write the addresses and this process's id; returns a sentence if that fails, else None."""
    return state_file.write(
        folder / _FILE, {"pid": os.getpid(), "services": [asdict(one) for one in found]}
    )


def read(folder: Path) -> list[ServiceAddress]:
    """Return the addresses of the run that uses this folder.

    Empty if that run has ended, or if the file does not exist or is not valid.
    """
    try:
        known = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        os.kill(known["pid"], 0)
        return [ServiceAddress(**one) for one in known["services"]]
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return []

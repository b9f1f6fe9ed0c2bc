"""Assigns ports to the processes of a run."""

from collections.abc import Sequence
from dataclasses import replace

from vtuber_cli import ports, valkey
from vtuber_cli.settings import RunSettings, ServiceSpec


def choose_page_port(
    settings: RunSettings, page: str, port: int | None, *, ephemeral: bool
) -> tuple[ServiceSpec, ...]:
    """Return the services with their initial ports: the declared ones, or free ones (`ephemeral`).

    The page gets `port`, or else the port from the environment, if one is set.
    """
    named = port or (None if ephemeral else settings.port)
    specs = settings.services
    if ephemeral:
        specs = tuple(replace(spec, port=ports.free()) for spec in specs)
    return tuple(
        replace(spec, port=named) if named is not None and spec.name == page else spec
        for spec in specs
    )


def assign_ports(
    specs: Sequence[ServiceSpec], page: str, store: int | None, claims: ports.Claims
) -> tuple[tuple[ServiceSpec, ...], int | None, list[str]]:
    """Replace ports that are in use; return services, store port, and the names of what was moved.

    `store` is None if the run has no embedded store. The port of the page stays, because the user
    has chosen it; no person types the other ports.
    """
    taken = {spec.port for spec in specs if spec.name == page}

    def free(port: int) -> int:
        if port in taken or not claims.claim(port):
            port = ports.free()
        taken.add(port)
        return port

    placed = tuple(
        spec if spec.name == page else replace(spec, port=free(spec.port)) for spec in specs
    )
    moved = [
        spec.name for spec, before in zip(placed, specs, strict=True) if spec.port != before.port
    ]
    placed_store = None if store is None else free(store)
    return placed, placed_store, [*moved, *([valkey.NAME] if placed_store != store else [])]

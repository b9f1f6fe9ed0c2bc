"""Which ports the processes of a run have."""

from collections.abc import Sequence
from dataclasses import replace

from vtuber_cli import ports, valkey
from vtuber_cli.settings import RunSettings, ServiceSpec


def choose_page_port(
    settings: RunSettings, page: str, port: int | None, *, ephemeral: bool
) -> tuple[ServiceSpec, ...]:
    """The services at their own ports, or at free ones (`ephemeral`); the page's is `port`, or the environment's, if one is given."""
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
    """The services and the store's port (None: there is none) without those that are taken, and the names of what has moved.

    The page's port was chosen by a person and stays; of all others, one is as good as the next.
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

import socket
from dataclasses import replace

import pytest

from vtuber_cli import port_assignment, ports, settings


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> settings.RunSettings:
    monkeypatch.delenv("PORT", raising=False)
    return settings.load()


def test_the_pages_port_is_the_one_asked_for_else_the_environments(
    loaded: settings.RunSettings,
) -> None:
    def page(port: int | None, *, ephemeral: bool = False) -> int:
        specs = port_assignment.choose_page_port(
            replace(loaded, port=8111), "gateway", port, ephemeral=ephemeral
        )
        return next(spec.port for spec in specs if spec.name == "gateway")

    assert (page(8222), page(None), page(8222, ephemeral=True)) == (8222, 8111, 8222)
    assert page(None, ephemeral=True) != 8111


def test_what_is_taken_moves_and_all_are_apart(loaded: settings.RunSettings) -> None:
    specs = port_assignment.choose_page_port(loaded, "gateway", None, ephemeral=True)
    claims = ports.Claims()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        # The page is where a service would be, and somebody else where the store would be.
        page = next(spec.port for spec in specs if spec.name == "gateway")
        specs = tuple(replace(spec, port=page) if spec.name == "asr" else spec for spec in specs)
        placed, store, moved = port_assignment.assign_ports(specs, "gateway", taken, claims)
    claims.close()
    assert moved == ["asr", "valkey"]
    assert len({spec.port for spec in placed} | {store, taken}) == len(placed) + 2
    assert next(spec.port for spec in placed if spec.name == "gateway") == page
    assert port_assignment.assign_ports(specs, "gateway", None, claims)[1] is None
    claims.close()

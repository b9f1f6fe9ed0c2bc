from pathlib import Path

from vtuber_cli.placeholders import expand
from vtuber_cli.settings import ServiceSpec


def spec(service: str, port: int, ordinal: int = 0) -> ServiceSpec:
    name = f"{service}-{ordinal}" if ordinal else service
    return ServiceSpec(name, service, port, "grey", {}, service=service, ordinal=ordinal)


SERVICES = [spec("gateway", 8000), spec("dialog-engine", 8100), spec("dialog-engine", 8110, 1)]


def filled(value: str, of: int = 0) -> str:
    return expand(value, SERVICES[of], SERVICES, Path("/tmp/data"))


def test_names_in_braces_are_filled_and_others_stay() -> None:
    assert filled("http://127.0.0.1:{dialog-engine}/{gateway}") == "http://127.0.0.1:8100/8000"
    assert filled("{data}/{self}.db {unknown} {}") == "/tmp/data/gateway.db {unknown} {}"


def test_each_process_of_a_service_is_named_and_knows_its_own_place() -> None:
    assert filled("ws://h:{dialog-engine*}/x") == "ws://h:8100/x,ws://h:8110/x"
    assert [filled("{self} {ordinal}", at) for at in (1, 2)] == [
        "dialog-engine 0",
        "dialog-engine-1 1",
    ]
    assert filled("{dialog-engine?} {gateway?}") == "True False", "whether there are several"

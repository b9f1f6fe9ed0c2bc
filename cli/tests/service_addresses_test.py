import json
import subprocess
import sys
from pathlib import Path

import pytest

from vtuber_cli import service_addresses
from vtuber_cli.service_addresses import ServiceAddress
from vtuber_cli.settings import ServiceSpec


def spec(name: str, port: int, *, fallback: bool = False) -> ServiceSpec:
    return ServiceSpec(name=name, module=name, port=port, colour="cyan", env={}, fallback=fallback)


SPECS = [spec("gateway", 8481), spec("dialog-engine-1", 40_001), spec("tts", 8203, fallback=True)]


def test_only_the_page_listens_where_a_person_chose(tmp_path: Path) -> None:
    found = service_addresses.run_addresses(SPECS, "gateway", "::", "https")
    assert found == [
        ServiceAddress("gateway", 8481, "::1", "https"),
        ServiceAddress("dialog-engine-1", 40_001),
        ServiceAddress("tts", 8203, fallback=True),
    ]
    assert service_addresses.write(tmp_path, found) is None
    assert service_addresses.read(tmp_path) == found


def test_a_run_that_has_ended_has_no_addresses(tmp_path: Path) -> None:
    service_addresses.write(tmp_path, service_addresses.default_addresses(SPECS))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": ended.pid}))
    assert service_addresses.read(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"pid": "x", "services": []}',
        '{"pid": 1e99, "services": []}',
        '{"pid": 1, "services": [{"x": 1}]}',
    ],
)
def test_a_file_that_cannot_be_understood_has_none(tmp_path: Path, text: str) -> None:
    service_addresses.write(tmp_path, [])
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert service_addresses.read(tmp_path) == []


def test_a_folder_without_a_run_has_none(tmp_path: Path) -> None:
    assert service_addresses.read(tmp_path / "missing") == []

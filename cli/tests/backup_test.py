import io
import json
import zipfile
from pathlib import Path

import pytest

from vtuber_cli import backup
from vtuber_cli.backup import NotABackupFile, read_manifest
from vtuber_cli.console import Console
from vtuber_cli.gateway_api import GatewayApi
from vtuber_cli.ports import free
from vtuber_cli.testing.answering_server import AnsweringServer

PART = {"name": "engine-0.db", "path": "/backup/engines/0", "size": 1, "sha256": "0" * 64}


def archive(path: Path, manifest: object, *files: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("manifest.json", json.dumps(manifest))
        for name in files:
            made.writestr(name, b"x")
    return path


def test_the_parts_of_a_backup_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"format": 1, "parts": [PART]}, "engine-0.db")
    with zipfile.ZipFile(path) as made:
        [part] = read_manifest(made)
    assert (part.name, part.path) == ("engine-0.db", "/backup/engines/0")


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"format": 2, "parts": []}, "has format 2, and this version reads 1"),
        ({"format": 1, "parts": [PART]}, "lacks engine-0.db"),
        ({"format": 1, "parts": [{}]}, "is not a backup"),
        ([], "is not a backup"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, manifest: object, why: str) -> None:
    path = archive(tmp_path / "a.zip", manifest)
    with zipfile.ZipFile(path) as made, pytest.raises(NotABackupFile, match=why):
        read_manifest(made)


def test_a_backup_that_fails_leaves_no_file(
    tmp_path: Path, answering_server: AnsweringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = answering_server(200, b'{"engines":[0],"unreachable":["engine 1"]}')
    api = GatewayApi(f"http://127.0.0.1:{gone}")
    assert backup.backup(api, Console(io.StringIO()), tmp_path / "b.zip") == 1
    assert "no backup without engine 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    nobody = GatewayApi(f"http://127.0.0.1:{free()}")
    assert backup.backup(nobody, Console(io.StringIO()), tmp_path / "b.zip") == 1
    assert "Is it running" in capsys.readouterr().err


def test_a_restore_needs_as_many_engines(
    tmp_path: Path, answering_server: AnsweringServer, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {**PART, "name": "engine-3.db", "path": "/backup/engines/3"}
    path = archive(tmp_path / "a.zip", {"format": 1, "parts": [part]}, "engine-3.db")
    port = answering_server(200, b'{"engines":[0],"unreachable":[]}')
    api = GatewayApi(f"http://127.0.0.1:{port}")
    assert backup.restore(api, Console(io.StringIO()), path) == 1
    assert "there is no engine for engine-3.db" in capsys.readouterr().err

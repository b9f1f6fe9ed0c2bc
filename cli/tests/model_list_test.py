import re
from importlib import resources
from pathlib import Path

import pytest

from vtuber_cli import model_list
from vtuber_cli.model_list import Model, ModelFile, Wheel

ONE = ModelFile(
    "a.bin", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", (("p", "a"),)
)
MODEL = Model(
    "tiny",
    "Tiny",
    "hears",
    "nothing is heard",
    "MIT",
    (ONE, ONE.__class__("b.bin", 3, ONE.sha256, ONE.members)),
)


def test_what_is_declared_is_whole_and_says_where_it_comes_from_by_name_only() -> None:
    declared = model_list.load()
    assert {model.name for model in declared.models} == {"whisper-base", "silero-vad", "smart-turn"}
    packages = {wheel.package for wheel in declared.wheels}
    used = {
        package for model in declared.models for file in model.files for package, _ in file.members
    }
    assert packages == used
    files = [file for model in declared.models for file in model.files]
    pins: list[Wheel | ModelFile] = [*declared.wheels, *files]
    for pinned in pins:
        assert re.fullmatch("[0-9a-f]{64}", pinned.sha256)
        assert pinned.bytes > 0
    assert "://" not in (resources.files("vtuber_cli") / "models.toml").read_text(encoding="utf-8")


def test_only_the_wheels_of_what_is_wanted_are_fetched() -> None:
    declared = model_list.load()
    wanted = [model for model in declared.models if model.name == "smart-turn"]
    assert [wheel.package for wheel in declared.wheels_of(wanted)] == ["pipecat-ai"]


@pytest.mark.parametrize(
    ("files", "thorough", "quick"),
    [
        ({}, "missing", "missing"),
        ({"a.bin": b"abc"}, "damaged", "damaged"),
        ({"a.bin": b"abc", "b.bin": b"ab"}, "damaged", "damaged"),
        ({"a.bin": b"abc", "b.bin": b"xyz"}, "damaged", "ready"),
        ({"a.bin": b"abc", "b.bin": b"abc"}, "ready", "ready"),
    ],
)
def test_a_model_is_there_when_all_of_it_is(
    tmp_path: Path, files: dict[str, bytes], thorough: str, quick: str
) -> None:
    (tmp_path / "tiny").mkdir()
    for name, data in files.items():
        (tmp_path / "tiny" / name).write_bytes(data)
    assert MODEL.state(tmp_path) == thorough
    assert MODEL.state(tmp_path, thorough=False) == quick
    assert MODEL.bytes == 6

import os
from pathlib import Path
from typing import Any

import pytest

from vtuber_cli import wheels
from vtuber_cli.model_list import Wheel

WHEEL = Wheel("tiny", "1.0", 10, "0" * 64)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "the download of tiny 1.0 has another SHA-256",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "the disk is full",
        ),
        ("ERROR: No matching distribution found for tiny==1.0", "does not have tiny 1.0"),
        (
            "WARNING: Retrying: 'NewConnectionError: Failed to establish a new connection'",
            "cannot be reached",
        ),
        ("ReadTimeoutError: Read timed out.", "does not answer"),
        ("ERROR: something\nERROR: else\n", "could not fetch tiny 1.0: ERROR: else"),
        ("", "no error message"),
    ],
)
def test_what_pip_says_is_said_so_that_one_knows_what_to_do(said: str, sentence: str) -> None:
    assert sentence in wheels._meaning(said, WHEEL)


def test_folders_that_pip_removes_while_they_are_counted_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.whl").write_bytes(b"123")
    listed = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "b":
            Path(path, "w.whl").unlink()
            Path(path).rmdir()
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert wheels._size(tmp_path) == 3

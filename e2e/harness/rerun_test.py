"""What is run once more, and what comes of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.harness import outcomes, rerun
from e2e.harness.outcomes import Outcomes
from e2e.harness.stack import ROOT

TESTS = """
import pathlib

def test_passes(): ...
def test_fails(): assert False
def test_flaky():
    seen = pathlib.Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


def judged(found: Outcomes, *passing: str) -> tuple[bool, list[str]]:
    said: list[str] = []
    return rerun.verdict(found, lambda test: test in passing, said.append), said


def test_a_test_that_passes_alone_is_flaky_and_fails_no_run() -> None:
    assert judged(Outcomes(["a", "b"]), "a", "b") == (True, ["FLAKY a", "FLAKY b"])


def test_a_test_that_fails_again_fails_the_run() -> None:
    assert judged(Outcomes(["a", "b"]), "a") == (False, ["FLAKY a", "FAILED b"])


def test_more_than_three_are_not_run_again() -> None:
    assert judged(Outcomes(["a", "b", "c"]), "a", "b", "c")[0]
    passed, said = judged(Outcomes(["a", "b", "c", "d"]), "a", "b", "c", "d")
    assert not passed
    assert "4 tests" in said[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("began 1\n", "cut off"),
        ("began 1\nended 1 2\n", "status 2"),
        ("began 1\nended 1 4\nbegan 2\nended 2 0\n", "status 4"),
    ],
)
def test_a_session_that_did_not_take_place_fails_the_run(text: str, why: str) -> None:
    passed, said = judged(outcomes.read(text))
    assert not passed
    assert why in said[0]


def test_the_outcomes_of_a_real_run_are_run_again(tmp_path: Path) -> None:
    (tmp_path / "real_test.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["e2e.harness.outcomes"]\n')
    file = tmp_path / "outcomes"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
        "-p",
        "xdist",
        "-n",
        "2",
        ".",
    ]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), outcomes.VARIABLE: str(file)}
    assert (
        subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False
        ).returncode
        == 1
    )
    found = outcomes.read(file.read_text())
    assert sorted(found.failed) == ["real_test.py::test_fails", "real_test.py::test_flaky"]
    assert not found.broken

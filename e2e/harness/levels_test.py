"""Which tests run when."""

import subprocess
import sys

import pytest

from e2e.harness import levels
from e2e.harness.stack import ROOT


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("services/gateway/tests/app_test.py", 0),
        ("cli/tests/say_test.py", 0),
        ("e2e/stop_silences_test.py", 1),
        ("e2e/browser/the_page_speaks_test.py", 1),
        ("e2e/kind/the_chart_is_sound_test.py", 2),
        ("e2e/kind/nodes/several_of_each_lose_no_turn_test.py", 2),
    ],
)
def test_a_folder_is_a_level_and_a_marker_only_raises_it(path: str, level: int) -> None:
    assert levels.of(ROOT / path, long=False) == level
    assert levels.of(ROOT / path, long=True) == 3


def collected(*arguments: str) -> str:
    """What pytest would run of this file and its neighbour."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "--collect-only",
        *arguments,
        __file__,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.long
def test_that_is_long() -> None:
    """Is here to be left out."""


def test_long_tests_run_only_when_asked_for() -> None:
    assert "test_that_is_long" not in collected()
    assert "test_a_folder_is" in collected()
    assert "test_that_is_long" in collected("--level", "3")
    assert "test_a_folder_is" not in collected("--level", "3")

"""The level of a test: by its folder; a marker only raises one to the highest.

0: members' tests. 1: `e2e/`, the real processes and a real browser. 2: `e2e/kind`, a cluster. 3 (`@pytest.mark.long`): whatever does not
fit into a run that people wait for; each has a make target of its own, and keeps its report. Plain `pytest` runs all but level 3.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from e2e.harness.stack import ROOT

LONG: Final = 3
MARKER: Final = "long"
FOLDERS: Final = ((ROOT / "e2e" / "kind", 2), (ROOT / "e2e", 1))
"""The first that a test's file is in decides; members' tests are in none of them."""


def of(path: Path, *, long: bool) -> int:
    """The level of a test in this file."""
    return (
        LONG
        if long
        else next((level for folder, level in FOLDERS if path.is_relative_to(folder)), 0)
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--level 3`, or several: `--level 0 --level 1`."""
    parser.addoption(
        "--level",
        type=int,
        action="append",
        choices=range(LONG + 1),
        help="run only the tests of this level",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The only marker that changes a level."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}: level {LONG}: on demand, by `make` with a target of its own; its report is kept",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is of another level than those asked for."""
    wanted = config.getoption("--level") or range(LONG)
    kept, left = _divided(items, wanted)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def _divided(
    items: Sequence[pytest.Item], wanted: Sequence[int]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        level = of(item.path, long=item.get_closest_marker(MARKER) is not None)
        (kept if level in wanted else left).append(item)
    return kept, left

"""Links and paths in the documents lead somewhere."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE_PATH: Final = re.compile(r"`([a-z_\-]+(?:/[a-z_\-]+)+\.(?:py|js|yaml))`")
OF_THE_READER: Final = frozenset({"mine/brain.py"})
"""Paths that a reader is told to create."""


@pytest.fixture(scope="module")
def files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [f"/{path}" for path in listed.stdout.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_path_of_a_page_exists(page: Path, files: list[str]) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = set(CODE_PATH.findall(text)) - OF_THE_READER
    assert {path for path in paths if not any(file.endswith(f"/{path}") for file in files)} == set()

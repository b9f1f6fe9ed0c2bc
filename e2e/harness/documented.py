"""Every command that README and docs tell people to type, and who types it in our tests."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from e2e.harness.stack import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHELLS = ("sh", "bash", "shell", "console")

Kind = Literal["make", "vtuber", "curl", "cluster"]


@dataclass(frozen=True)
class Command:
    """`text` as it is typed, on one line, without its comment."""

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def variables(self) -> dict[str, str]:
        """What stands before the program: NAME=value."""
        named = (
            word.partition("=") for word in self.words if re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", word)
        )
        return {name: value for name, _, value in named}

    @property
    def call(self) -> list[str]:
        """The program and its arguments."""
        words = self.words
        while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
            words = words[1:]
        return words

    @property
    def kind(self) -> Kind | None:
        """Who types it; None: nobody does yet."""
        program = Path(self.call[0]).name if self.call else ""
        kinds: dict[str, Kind] = {
            "make": "make",
            "vtuber": "vtuber",
            "curl": "curl",
            "kubectl": "cluster",
            "helm": "cluster",
        }
        return kinds.get(program)


def typed() -> list[Command]:
    """The commands of all blocks of code that are for a shell."""
    return [command for page in PAGES for command in _of_page(page)]


def mentioned() -> list[Command]:
    """Commands within sentences and tables, but for those that leave something to the reader."""
    found = []
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for text in re.findall(r"`([^`]+)`", line):
                command = Command(page.name, number, text)
                if not re.search(r"[…<>{}\[\]]|NAME|FILE|FOLDER", text) and re.match(
                    r"([A-Z_]+=\S+ )*(make|\S*vtuber) [a-z]", text
                ):
                    found.append(command)
    return found


def _of_page(page: Path) -> Iterator[Command]:
    language: str | None = None
    pending, began = "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            language = line.removeprefix("```").strip() if language is None else None
            continue
        if language not in SHELLS or (
            language == "console" and not line.startswith("$ ") and not pending
        ):
            continue
        began = began if pending else number
        part = line.removeprefix("$ ") if language == "console" else line
        if part.endswith("\\"):
            pending += part[:-1]
            continue
        text = re.sub(r"\s+#\s.*$", "", pending + part).strip()
        pending = ""
        if text and not text.startswith("#"):
            yield Command(page.name, began, re.sub(r"\s{2,}", " ", text))

"""Refuses private words in names: `python -m checks.private_names`.

The words stand in the last section of `docs/glossary.md`. A name is split at underscores and at
capital letters, and each part is compared. Names that come from the wire, or that a library asks
for, are exempt below.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
GLOSSARY: Final = ROOT / "docs/glossary.md"
SECTION: Final = "## Private words"
PRODUCT: Final = (
    "services/*/src",
    "services/lib/*/src",
    "operator/src",
    "cli/src",
)

WIRE: Final = frozenset(
    {
        "ear_ms",  # START.earMs
        "heard_text",  # STOP_ACK.heardText
        "owner",  # ErrorBody.owner of 421
        "is_owner_reference",
    }
)
"""Names that the wire, or Kubernetes, has given."""

_PARTS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def private_words(glossary: str) -> frozenset[str]:
    """The words of the glossary's last section."""
    section = glossary.split(SECTION, 1)[1]
    return frozenset(re.findall(r"^`.*`$", section, re.MULTILINE)[-1].replace("`", "").split())


def names_of(source: str) -> Iterator[tuple[int, str]]:
    """The names that a module defines, each with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def problems(name: str, words: frozenset[str]) -> list[str]:
    """The private words in a name."""
    if name in WIRE:
        return []
    return sorted({part.lower() for part in _PARTS.findall(name)} & words)


def main() -> int:
    """Print each private name with its place; 1 if there is one."""
    words = private_words(GLOSSARY.read_text())
    found = 0
    for pattern in PRODUCT:
        for folder in sorted(ROOT.glob(pattern)):
            for path in sorted(folder.rglob("*.py")):
                place = path.relative_to(ROOT)
                names = [(1, path.stem), *names_of(path.read_text())]
                for line, name in sorted(set(names)):
                    for word in problems(name, words):
                        print(f"{place}:{line}: {name}: the glossary has a term for '{word}'")
                        found += 1
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())

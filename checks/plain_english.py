"""Refuses riddles in the prose of the code: `python -m checks.plain_english`.

A sentence says which part acts: "the engine", "a viewer", "no consumer". Words that leave the actor
open are refused in docstrings, comments and strings of product code.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from checks.private_names import PRODUCT, ROOT

REFUSED: Final = re.compile(r"\b(nobody|somebody|anybody|whoever)\b", re.IGNORECASE)
PROSE: Final = frozenset({tokenize.COMMENT, tokenize.STRING})


def problems(source: str) -> Iterator[tuple[int, str]]:
    """The line and the word of each place in a module's comments and strings."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in PROSE and tokenize.tok_name[token.type] != "FSTRING_MIDDLE":
            continue
        for found in REFUSED.finditer(token.string):
            yield token.start[0] + token.string.count("\n", 0, found.start()), found[0]


def main() -> int:
    """Print each place; 1 if there is one."""
    found = 0
    for pattern in PRODUCT:
        for folder in sorted(ROOT.glob(pattern)):
            for path in sorted(folder.rglob("*.py")):
                if "testing" in path.parts:
                    continue
                for line, word in problems(path.read_text(encoding="utf-8")):
                    found += 1
                    place = Path(path).relative_to(ROOT)
                    print(f"{place}:{line}: {word!r}: say which part acts")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())

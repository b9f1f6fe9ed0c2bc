"""Refuses modules without a test file of their name: `python -m checks.test_mirror`.

A member's tests mirror its source: `src/<package>/a/b.py` is tested in `tests/a/b_test.py`. Test
doubles (`testing`) and the kinds of modules in `WITHOUT` need none; a single module that needs none
is exempt below, with its kind. An exemption that is not needed any more is refused too.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MEMBERS: Final = ("services/*", "services/lib/*", "operator", "cli")
WITHOUT: Final = frozenset({"__init__", "__main__", "app", "errors"})
DOUBLES: Final = "testing"

EXEMPT: Final[Mapping[str, str]] = {
    "services/asr/src/asr/streaming/vad.py": "protocol",
    "services/dialog-engine/src/dialog_engine/turn/actions.py": "data",
    "services/dialog-engine/src/dialog_engine/turn/ports.py": "protocol",
    "services/dialog-engine/src/dialog_engine/turn/request.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/backup.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/events_api.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/legacy_output.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/limits.py": "constants",
    "services/lib/dialog-contracts/src/dialog_contracts/outbox.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/turn_sample.py": "data",
    "services/lib/dialog-contracts/src/dialog_contracts/visemes.py": "constants",
    "services/lib/dialog-llm/src/dialog_llm/provider.py": "protocol",
    "services/lib/dialog-llm/src/dialog_llm/providers/rule_based_phrases.py": "constants",
    "services/lib/dialog-telemetry/src/dialog_telemetry/span_attributes.py": "constants",
    "services/lib/dialog-voice/src/dialog_voice/voice.py": "protocol",
    "services/lib/service-runtime/src/service_runtime/http/bounds.py": "constants",
    "services/output-handler/src/output_handler/playback/actions.py": "data",
    "services/output-handler/src/output_handler/playback/ports.py": "protocol",
}
"""Modules in which nothing can break: protocols, constants, data and types."""


def untested(root: Path) -> Iterator[str]:
    """The modules below `root` without a test file of their name."""
    for pattern in MEMBERS:
        for source in sorted(root.glob(f"{pattern}/src/*")):
            for module in sorted(source.rglob("*.py")):
                inside = module.relative_to(source)
                if module.stem in WITHOUT or DOUBLES in inside.parts:
                    continue
                test = source.parents[1] / "tests" / inside.with_name(f"{module.stem}_test.py")
                if not test.exists():
                    yield str(module.relative_to(root))


def problems(found: Iterable[str], *, known: Iterable[str]) -> list[str]:
    """A line for each module that has no test and is not known, and for each that is known in vain."""
    lacking, listed = set(found), set(known)
    return sorted(
        [f"{module}: no test file of its name" for module in lacking - listed]
        + [f"{module}: has a test or is gone: take it off the list" for module in listed - lacking]
    )


def main() -> int:
    """Print each problem; 1 if there is one."""
    found = problems(untested(ROOT), known=EXEMPT)
    for problem in found:
        print(problem)
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())

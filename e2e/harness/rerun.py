"""Runs the tests that failed once more, each alone: `python -m e2e.harness.rerun FILE`, with the file that `e2e.harness.outcomes` wrote.

What passes now depends on its surroundings and is printed as `FLAKY name`: it fails no run, and is mended before anything else. What
fails again fails; so do more than `FLAKY_MAX` tests, which are no accident, and a session of which nobody knows what it would have said.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from e2e.harness import outcomes

FLAKY_MAX: Final = 3


def passes(test: str) -> bool:
    """Run one test in a process of its own. A test that is not found has not passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", test]
    environment = {name: value for name, value in os.environ.items() if name != outcomes.VARIABLE}
    return subprocess.run(command, env=environment, check=False).returncode == 0


def verdict(
    found: outcomes.Outcomes, run: Callable[[str], bool], say: Callable[[str], None]
) -> bool:
    """Whether a run with these outcomes passes."""
    for why in found.broken:
        say(f"FAILED: {why}")
    if len(found.failed) > FLAKY_MAX:
        say(f"FAILED: {len(found.failed)} tests, more than the {FLAKY_MAX} that are run once more:")
        for test in found.failed:
            say(f"  {test}")
        return False
    again = []
    for test in found.failed:
        if run(test):
            say(f"FLAKY {test}")
        else:
            say(f"FAILED {test}")
            again.append(test)
    return not again and not found.broken


def main(arguments: list[str]) -> int:
    """The exit status."""
    (file,) = arguments
    return 0 if verdict(outcomes.read(Path(file).read_text()), passes, print) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs a command while its processes stand still now and then: `python -m e2e.harness.stalls make test`.

Machines do that to us: a virtual one whose host is busy, a laptop that swaps. Every few seconds all processes below the command, or only
one of them, are stopped for 0.2 to 0.9 s. A test that fails then depends on a quiet machine.
"""

import random
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

import psutil

STOPPED_S: Final = (0.2, 0.9)
BETWEEN_S: Final = (2.0, 6.0)


def stop_some(below: psutil.Process, chance: random.Random) -> int:
    """Stop them for a moment; gives how many."""
    with suppress(psutil.Error):
        children = below.children(recursive=True)
        chosen = (
            children if chance.random() < 0.5 else chance.sample(children, min(1, len(children)))
        )
        stopped = []
        try:
            for process in chosen:
                with suppress(psutil.Error):
                    # One that a test has stopped itself stays so.
                    if process.status() != psutil.STATUS_STOPPED:
                        process.suspend()
                        stopped.append(process)
            time.sleep(chance.uniform(*STOPPED_S))
        finally:
            for process in stopped:
                with suppress(psutil.Error):
                    process.resume()
        return len(stopped)
    return 0


def main(command: list[str]) -> int:
    """The command's exit status."""
    chance, stops = random.Random(), 0
    with subprocess.Popen(command) as running:
        below = psutil.Process(running.pid)
        while running.poll() is None:
            time.sleep(chance.uniform(*BETWEEN_S))
            stops += stop_some(below, chance) > 0
    print(f"stood still {stops} times")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

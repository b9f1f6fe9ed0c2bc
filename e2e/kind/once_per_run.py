"""What all workers of one test run share, made by the first of them that needs it."""

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

RUN: Final = "VTUBER_E2E_RUN"
"""Variable with the name of the run, which workers inherit."""


def begin() -> None:
    """In the process that starts the workers."""
    os.environ.setdefault(RUN, uuid.uuid4().hex[:8])


def end() -> bool:
    """Forget it all; whether there was anything."""
    if RUN not in os.environ or not (folder := _folder()).exists():
        return False
    shutil.rmtree(folder)
    return True


def once(step: str, work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What `work` gave to the first that asked; whoever comes meanwhile waits.

    Where it failed, the next one tries.
    """
    folder = _folder()
    folder.mkdir(exist_ok=True)
    # The lock goes with its process.
    with (folder / f"{step}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / f"{step}.json"
        if not kept.exists():
            kept.write_text(json.dumps(work()))
        found: dict[str, str] = json.loads(kept.read_text())
        return found


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"vtuber-e2e-{os.environ[RUN]}"

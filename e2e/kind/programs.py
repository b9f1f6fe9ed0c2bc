"""The programs that a cluster needs, found on PATH.

Standard library only, because `make up` does not need the .venv.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from e2e.kind import timeouts

ROOT: Final = Path(__file__).resolve().parents[2]
WHAT_FOR: Final = {
    "docker": "to build images",
    "kind": "to run a cluster in Docker",
    "kubectl": "to talk to the cluster",
    "helm": "to install the chart (3.18 or newer, or 4)",
}


class MissingProgram(Exception):
    """A program that is not on PATH, and what it is needed for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is needed {WHAT_FOR.get(name, '')} and is not on PATH.")


class CommandFailed(Exception):
    """A command that ended badly, with the end of what it said."""

    def __init__(self, command: Sequence[str], status: int | str, said: str) -> None:
        super().__init__(
            f"`{' '.join(command)[:300]}` ended with {status}:\n{said.strip()[-4000:]}"
        )
        self.said = said


def need(*names: str) -> None:
    """Raise MissingProgram for the first that is not there."""
    for name in names:
        if shutil.which(name) is None:
            raise MissingProgram(name)


def run(
    *command: str,
    within: float = timeouts.COMMAND,
    given: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> str:
    """Standard output of a command; raises CommandFailed."""
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=within,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        said = (
            (error.stderr or b"")
            if isinstance(error.stderr, bytes)
            else (error.stderr or "").encode()
        )
        raise CommandFailed(
            command, f"no result within {within:.0f} s", said.decode(errors="replace")
        ) from error
    if done.returncode != 0:
        raise CommandFailed(command, done.returncode, f"{done.stdout}\n{done.stderr}")
    return done.stdout


def major(helm: str) -> int:
    """3 or 4: what a broken upgrade's flag is called differs."""
    said = run(helm, "version", "--template", "{{.Version}}")
    found = re.match(r"v(\d+)", said)
    if found is None:
        raise CommandFailed((helm, "version"), 0, said)
    return int(found.group(1))

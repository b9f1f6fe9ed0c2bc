"""Wheels of the package index as files: fetched by pip, from wherever pip is told to look, and never installed."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vtuber_cli.model_list import Wheel, sha256
from vtuber_cli.settings import environment

POLL_INTERVAL_S: Final = 0.2

# What pip says, and what that means to somebody who only wanted a model.
_MEANINGS: Final = (
    (
        "DO NOT MATCH THE HASHES",
        "what came is not what was expected: {wheel} was changed, or the transfer is broken. Nothing was kept.",
    ),
    ("No space left on device", "the disk is full."),
    (
        "No matching distribution",
        "the package index does not have {wheel}. Is the network there, and does pip use the right index?",
    ),
    ("Connection", "the package index cannot be reached. Is the network there?"),
    (
        "Temporary failure in name resolution",
        "the package index cannot be found. Is the network there?",
    ),
    ("timed out", "the package index does not answer."),
)

Progress = Callable[[int], None]


class FetchError(Exception):
    """One sentence."""


def fetch(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel's file in `folder`, which keeps it; one that is there and right is not fetched again.

    `progress` is told bytes of this wheel, from time to time. Raises CannotFetch.
    """
    kept = next((path for path in _files(wheel, folder) if sha256(path) == wheel.sha256), None)
    if kept is not None:
        progress(wheel.bytes)
        return kept
    half = folder / "half"
    half.mkdir(parents=True, exist_ok=True)
    wanted = half / "requirements.txt"
    wanted.write_text(
        f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary",
        ":all:",
    ]
    command += [
        "--disable-pip-version-check",
        "--require-hashes",
        "--requirement",
        str(wanted),
        "--dest",
        str(folder),
    ]
    # pip writes to its temporary folder until a file is whole: how much lies there is how far it is.
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment(TMPDIR=str(half.resolve()))
    ) as pip:
        try:
            while pip.poll() is None:
                progress(min(wheel.bytes, _size(half)))
                time.sleep(POLL_INTERVAL_S)
        except KeyboardInterrupt:
            pip.terminate()
            raise
        assert pip.stderr is not None
        said = pip.stderr.read()
    if pip.returncode != 0:
        raise FetchError(_meaning(said, wheel))
    for path in _files(wheel, folder):
        if sha256(path) == wheel.sha256:
            progress(wheel.bytes)
            return path
    raise FetchError(f"pip gave no file for {wheel.package} {wheel.version}.")


def _files(wheel: Wheel, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl"))


def _size(folder: Path) -> int:
    total = 0
    # pip moves files and removes folders while they are counted; os.walk passes over a folder that is gone, rglob raises.
    for at, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                with contextlib.suppress(FileNotFoundError):
                    total += Path(at, name).stat().st_size
    return total


def _meaning(said: str, wheel: Wheel) -> str:
    for sign, meaning in _MEANINGS:
        if sign in said:
            return meaning.format(wheel=f"{wheel.package} {wheel.version}")
    lines = [line for line in said.splitlines() if line.strip()]
    return f"pip could not fetch {wheel.package} {wheel.version}: {lines[-1] if lines else 'it said nothing'}"

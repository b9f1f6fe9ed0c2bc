"""Downloads wheels with pip, from the index that pip is configured for, without installing them."""

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

# Parts of pip's error messages, and what they mean for a user who only wants a model.
_MEANINGS: Final = (
    (
        "DO NOT MATCH THE HASHES",
        "the download of {wheel} has another SHA-256 than expected: the package was changed, or "
        "the transfer failed. Nothing was kept.",
    ),
    ("No space left on device", "the disk is full."),
    (
        "No matching distribution",
        "the package index does not have {wheel}. Is the network available, and does pip use the "
        "right index?",
    ),
    ("Connection", "the package index cannot be reached. Is the network available?"),
    (
        "Temporary failure in name resolution",
        "the name of the package index cannot be resolved. Is the network available?",
    ),
    ("timed out", "the package index does not answer."),
)

Progress = Callable[[int], None]


class FetchError(Exception):
    """A download failed; the message is one sentence."""


def fetch(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """Download the wheel into `folder` and return its path. Raises FetchError.

    A valid file that is already there is kept. `progress` is called with the number of bytes so
    far.
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
    # pip writes into its temporary folder until a file is complete; its size there is the progress.
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
    raise FetchError(f"pip downloaded no file for {wheel.package} {wheel.version}.")


def _files(wheel: Wheel, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl"))


def _size(folder: Path) -> int:
    total = 0
    # pip moves files and removes folders meanwhile. os.walk skips a removed folder, rglob raises.
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
    return f"pip could not fetch {wheel.package} {wheel.version}: {lines[-1] if lines else 'no error message'}"

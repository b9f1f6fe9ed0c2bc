"""JSON files by which a run tells other programs its ports, process ids and progress."""

import json
from collections.abc import Mapping
from pathlib import Path


def write(path: Path, state: Mapping[str, object]) -> str | None:
    """Write the file atomically, readable by this user only; a Redis URL may hold a password.

    Returns a sentence if it cannot be written, else None.
    """
    half = path.with_suffix(".part")
    try:
        half.touch(mode=0o600)
        half.write_text(json.dumps(state), encoding="utf-8")
        half.replace(path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return None

"""What a run tells the programs that drive it: ports, process ids, and what is ready."""

import json
from collections.abc import Mapping
from pathlib import Path


def write(path: Path, state: Mapping[str, object]) -> str | None:
    """As a whole or not at all, for this user alone: a store's address may hold a password. A sentence where it cannot be written."""
    half = path.with_suffix(".part")
    try:
        half.touch(mode=0o600)
        half.write_text(json.dumps(state), encoding="utf-8")
        half.replace(path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return None

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(scope="session")
def example() -> Callable[[str], Any]:
    """The example of a message by its file's name without `.json`, parsed anew at each call."""
    return lambda name: json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))

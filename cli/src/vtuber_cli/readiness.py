"""What a service says of itself on `/readyz`."""

import json
from contextlib import suppress
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_DIRECTLY: Final = build_opener(ProxyHandler({}))
"""A proxy of the environment, asked for this machine's addresses, asks its own machine."""


def of(port: int) -> tuple[bool, str]:
    """Whether it is ready, and if not why."""
    try:
        with _DIRECTLY.open(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200, ""
    except URLError as error:
        body = ""
        if hasattr(error, "read"):
            with suppress(ValueError, OSError):
                told = json.loads(error.read())
                body = "; ".join(told.get("reasons", [])) if isinstance(told, dict) else ""
        return False, body or str(error.reason)
    except OSError as error:
        return False, str(error)

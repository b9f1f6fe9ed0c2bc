"""Makes a vendor's error text fit for messages, logs and metrics: one short line without keys."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

DETAIL_CHARS: Final = 200
_KEY_SHAPES: Final = re.compile(r"\bsk-[\w*-]+|(?i:\bbearer\s+)\S+")

_OBJECTS: Final = re.compile(r"\s?(?:\w+[:=])?<[\w.]+ object at 0x[0-9a-fA-F]+>")


def redact(detail: str, secrets: Iterable[str] = ()) -> str:
    """Return `detail` as one line of at most 200 characters.

    `secrets` and everything with the shape of a key are replaced by `***`.
    """
    for secret in secrets:
        if secret:
            detail = detail.replace(secret, "***")
    # Libraries put their objects into messages; addresses in memory help no reader.
    detail = _OBJECTS.sub("", detail)
    detail = " ".join(_KEY_SHAPES.sub("***", detail).split())
    return detail if len(detail) <= DETAIL_CHARS else detail[: DETAIL_CHARS - 1] + "…"


def host_of(url: str) -> str:
    """Return host and port of a URL, for people; never a user's name, a password or a query.

    Raises ValueError for what is not a URL.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port is not None else host

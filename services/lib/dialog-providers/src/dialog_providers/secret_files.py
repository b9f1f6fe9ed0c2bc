"""Keys that sessions' documents refer to: files of a mounted Secret, by name.

The content of a file is never part of an error or a log line. An exception that contains it (of a
decoder, or of an HTTP client that rejects a header) would be printed by its handler. So only a key
that can be sent unchanged is accepted; any other file counts as missing.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger("session_keys")

MAX_KEY_BYTES: Final = 8 * 1024
_SENDABLE: Final = re.compile(rb"[!-~]+")
"""Characters that an HTTP header accepts, without spaces."""


class SecretFiles:
    """Reads keys from `folder`.

    The kubelet needs up to a minute and a half to mount a new one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._logged: dict[str, str] = {}

    def read(self, name: str | None) -> str | None:
        """Return the key, or None while it is missing or not usable."""
        if name is None or self._folder is None:
            return None
        try:
            # The name's pattern has no separator, so it cannot lead out of the folder.
            with Path(self._folder / name).open("rb") as file:
                data = file.read(MAX_KEY_BYTES + 1).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unusable(name, type(error).__name__)
        if not data:
            return self._unusable(name, "empty")
        if len(data) > MAX_KEY_BYTES:
            return self._unusable(name, f"longer than {MAX_KEY_BYTES} bytes")
        if _SENDABLE.fullmatch(data) is None:
            return self._unusable(name, "not one word of printable ASCII")
        self._logged.pop(name, None)
        return data.decode("ascii")

    def missing(self, names: Iterable[str | None]) -> list[str]:
        """Return the names whose files are not mounted yet or not usable, sorted."""
        return sorted({name for name in names if name is not None and self.read(name) is None})

    def _unusable(self, name: str, why: str) -> str | None:
        """Log each reason once per file, because the files are read every few seconds."""
        if self._logged.get(name) != why:
            self._logged[name] = why
            log.error("session_key_unusable", file=name, reason=why)
        return None

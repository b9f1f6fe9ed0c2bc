"""Log files of one service, limited in size and number.

A log that cannot be written must not end the service or the run. Such lines are counted, and the
file notes their number when it can be written again.
"""

import os
from pathlib import Path
from typing import Final

FILE_BYTES: Final = 8_000_000
FILES: Final = 3
"""Number of files: `gateway.log` and the older `gateway.log.1` and `gateway.log.2`."""

LAST_LINES: Final = 12


class LogFile:
    """The log of one service. `lines_lost` counts lines that could not be written."""

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self.path, self._file_bytes = path, file_bytes
        self._descriptor: int | None = None
        self._size = 0
        self._partial_line = False
        self._unreported = 0
        self.lines_lost = 0
        self.last: list[str] = []
        """The newest lines, for an error report."""

    def add(self, raw: str) -> None:
        """Write one line."""
        self.last = [*self.last[1 - LAST_LINES :], raw]
        try:
            if self._size >= self._file_bytes:
                self._rotate()
            self._write(raw)
        except OSError:
            self._unreported += 1
            self.lines_lost += 1
            # Open the path again with the next line: the file may have been removed or replaced.
            self.close()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _write(self, raw: str) -> None:
        if self._descriptor is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(
                self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            self._size = os.fstat(self._descriptor).st_size
        said = f"({self._unreported} lines could not be written here)\n" if self._unreported else ""
        data = ("\n" if self._partial_line else "").encode() + (said + raw + "\n").encode(
            "utf-8", "backslashreplace"
        )
        while data:
            written = os.write(self._descriptor, data)
            self._size += written
            data = data[written:]
            self._partial_line = bool(data)
        self._unreported = 0

    def _rotate(self) -> None:
        self.close()
        for number in range(FILES - 1, 0, -1):
            newer = self._numbered(number - 1)
            if newer.exists():
                newer.replace(self._numbered(number))
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

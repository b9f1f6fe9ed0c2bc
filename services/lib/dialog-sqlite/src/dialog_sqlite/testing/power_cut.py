"""A disk in memory that loses what was not flushed, as an SQLite VFS.

Each file has a durable content and the writes since its last flush. A cut ends the disk after a
number of operations: every later one fails. `after_cut` returns what a real disk may hold then: the
durable content, and any part of the writes that were not flushed, each one kept or lost by itself.
It is the method of SQLite's own crash tests.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

SECTOR: Final = 512


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    current: bytearray = field(default_factory=bytearray)
    pending: list[Callable[[bytearray], None]] = field(default_factory=list)
    exists: bool = True


class PowerCutDisk(apsw.VFS):
    """The disk, registered as VFS `name`. `cut_after`: number of operations until the cut."""

    def __init__(
        self, name: str, content: dict[str, bytes] | None = None, cut_after: int | None = None
    ) -> None:
        self.vfs_name = name
        self.files = {
            path: _File(bytearray(data), bytearray(data)) for path, data in (content or {}).items()
        }
        self.operations, self.cut_after = 0, cut_after
        super().__init__(name, base="")

    @property
    def is_cut(self) -> bool:
        """Whether the power is off."""
        return self.cut_after is not None and self.operations >= self.cut_after

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files as they may be found after the cut."""
        found = {}
        for path, file in self.files.items():
            if not file.exists:
                continue
            content = bytearray(file.durable)
            for change in file.pending:
                if chance.random() < 0.5:
                    change(content)
            found[path] = bytes(content)
        return found

    def count(self) -> None:
        """Count an operation; raises apsw.IOError after the cut."""
        if self.is_cut:
            raise apsw.IOError("the power is off")
        self.operations += 1

    def xOpen(self, name: Any, flags: Sequence[int]) -> Any:  # noqa: D102
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _OpenFile(self, path)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: D102
        file = self.files.get(pathname)
        return file is not None and file.exists

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: D102
        self.count()
        if filename in self.files:
            self.files[filename].exists = False

    def xFullPathname(self, name: str) -> str:  # noqa: D102
        return name


class _OpenFile:
    """One open file."""

    def __init__(self, disk: PowerCutDisk, path: str) -> None:
        self._disk = disk
        file = disk.files.get(path)
        if file is None or not file.exists:
            file = disk.files[path] = _File()
        self._file = file

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.is_cut:
            raise apsw.IOError("the power is off")
        return bytes(self._file.current[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.count()
        written = bytes(data)
        _write(self._file.current, written, offset)
        # A disk writes sectors, so that a single write may be kept in part.
        for at in range(0, len(written), SECTOR):
            part = written[at : at + SECTOR]
            self._file.pending.append(
                lambda content, part=part, to=offset + at: _write(content, part, to)  # type: ignore[misc]
            )

    def xTruncate(self, newsize: int) -> None:
        self._disk.count()
        del self._file.current[newsize:]
        self._file.pending.append(lambda content: content.__delitem__(slice(newsize, None)))

    def xSync(self, flags: int) -> None:
        self._disk.count()
        self._file.durable = bytearray(self._file.current)
        self._file.pending.clear()

    def xFileSize(self) -> int:
        return len(self._file.current)

    def xClose(self) -> None: ...

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0


def _write(content: bytearray, data: bytes, offset: int) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data

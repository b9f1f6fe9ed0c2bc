"""Sends a copy of a database, and receives one to restore.

A copy is made next to the database while the service works, and deleted when it was sent. A file to
restore arrives in pieces, because our servers accept no large bodies; it is checked as a whole
before it replaces anything. There is one upload at a time, and it is forgotten when no piece comes
for UPLOAD_IDLE_S.
"""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from dialog_sqlite.database import Database
from dialog_sqlite.errors import NotABackup

UPLOAD_IDLE_S: Final = 120.0
SPARE_BYTES: Final = 64 * 1024 * 1024
"""Free space on the disk that no upload may use."""


class UploadRefused(ValueError):
    """The message says what is wrong with a piece or an upload."""


class DatabaseBusy(RuntimeError):
    """The database is in use, so it cannot be replaced now."""


@dataclass(slots=True)
class _Upload:
    name: str
    path: Path
    size: int
    used_at: float


class DatabaseTransfer:
    """Copies and restores of one database.

    `busy` returns why it cannot be restored now, or None. `on_restored` is called when the content
    was replaced.
    """

    def __init__(
        self,
        database: Database,
        *,
        busy: Callable[[], str | None] = lambda: None,
        on_restored: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._busy, self._on_restored = database, busy, on_restored
        self._clock = clock
        self._upload: _Upload | None = None
        self._copying = asyncio.Lock()

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[Path]:
        """Yield the path of a copy, which is deleted on exit. Raises apsw.Error and OSError."""
        target = self._neighbour("copy")
        async with self._copying:
            try:
                await self._database.backup(target)
                yield target
            finally:
                await asyncio.to_thread(target.unlink, missing_ok=True)

    async def begin(self) -> str:
        """Begin an upload and return its name; an earlier one that is in use is not replaced.

        Raises UploadRefused.
        """
        known = self._upload
        if known is not None and self._clock() - known.used_at < UPLOAD_IDLE_S:
            raise UploadRefused("another restore is running; try again when it has ended")
        await self._forget()
        path = self._neighbour("restore")
        await asyncio.to_thread(path.touch)
        self._upload = _Upload(uuid4().hex, path, 0, self._clock())
        return self._upload.name

    async def add(self, name: str, offset: int, data: bytes) -> int:
        """Append a piece; return the size so far. Raises UploadRefused and OSError."""
        upload = self._known(name)
        if offset + len(data) <= upload.size:
            # The answer to this piece was lost.
            return upload.size
        if offset != upload.size:
            raise UploadRefused(f"offset: {offset} does not follow {upload.size}")
        free = await asyncio.to_thread(shutil.disk_usage, upload.path.parent)
        if free.free < SPARE_BYTES + len(data):
            raise UploadRefused("the disk has no space for this backup")
        await asyncio.to_thread(_append, upload.path, data)
        upload.size += len(data)
        upload.used_at = self._clock()
        return upload.size

    async def restore(self, name: str, sha256: str) -> int:
        """Replace the database by the uploaded file; return its size.

        Raises UploadRefused, DatabaseBusy, NotABackup and apsw.Error; the content is then unchanged.
        """
        upload = self._known(name)
        found = await asyncio.to_thread(_digest, upload.path)
        if found != sha256:
            await self._forget()
            raise UploadRefused("sha256: the file did not arrive as it was sent")
        if (why := self._busy()) is not None:
            raise DatabaseBusy(why)
        try:
            await self._database.restore(upload.path)
        except NotABackup:
            await self._forget()
            raise
        if self._on_restored is not None:
            await self._on_restored()
        await self._forget()
        return upload.size

    async def aclose(self) -> None:
        """Delete what is left of an upload."""
        await self._forget()

    def _known(self, name: str) -> _Upload:
        if self._upload is None or self._upload.name != name:
            raise UploadRefused("this restore is not known any more; begin again")
        return self._upload

    async def _forget(self) -> None:
        if self._upload is not None:
            path, self._upload = self._upload.path, None
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def _neighbour(self, purpose: str) -> Path:
        return self._database.path.with_name(f".{purpose}-{uuid4().hex[:12]}.db")


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

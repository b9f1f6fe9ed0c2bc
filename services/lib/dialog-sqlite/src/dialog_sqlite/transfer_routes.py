"""Endpoints for backup and restore of one database: `/backup`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import apsw
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from dialog_contracts.backup import (
    BACKUP_TYPE,
    BackupPiece,
    RestoreReceipt,
    RestoreRequest,
    UploadState,
)
from dialog_sqlite.errors import NotABackup, StoreClosed
from dialog_sqlite.transfer import DatabaseBusy, DatabaseTransfer, UploadRefused
from service_runtime.http.errors import Conflict, InvalidField, Unavailable

READ_BYTES: Final = 256 * 1024


def backup_routes(transfer: DatabaseTransfer) -> APIRouter:
    """Return the routes of one database."""
    routes = APIRouter(prefix="/backup")

    @routes.get("")
    async def copy() -> StreamingResponse:
        context = transfer.copy()
        try:
            path = await context.__aenter__()
        except (apsw.Error, OSError, StoreClosed) as error:
            raise Unavailable(f"no copy can be made: {error}", code="backup_failed") from error

        async def pieces() -> AsyncIterator[bytes]:
            try:
                async for piece in _pieces(path):
                    yield piece
            finally:
                await context.__aexit__(None, None, None)

        return StreamingResponse(pieces(), media_type=BACKUP_TYPE)

    @routes.post("/uploads")
    async def begin() -> UploadState:
        try:
            return UploadState(upload=await transfer.begin(), size=0)
        except UploadRefused as error:
            raise Conflict(str(error), code="restore_running") from error

    @routes.post("/uploads/{name}")
    async def add(name: str, piece: BackupPiece) -> UploadState:
        try:
            size = await transfer.add(name, piece.offset, piece.data)
        except UploadRefused as error:
            raise InvalidField(str(error), code="bad_piece", field="offset") from error
        return UploadState(upload=name, size=size)

    @routes.post("/uploads/{name}/restore")
    async def restore(name: str, request: RestoreRequest) -> RestoreReceipt:
        try:
            size = await transfer.restore(name, request.sha256)
        except UploadRefused as error:
            raise InvalidField(str(error), code="bad_piece", field="sha256") from error
        except NotABackup as error:
            raise InvalidField(str(error), code="not_a_backup") from error
        except DatabaseBusy as error:
            raise Conflict(str(error), code="busy", retry_after_s=2) from error
        except (apsw.Error, StoreClosed) as error:
            raise Unavailable(f"not restored: {error}", code="restore_failed") from error
        return RestoreReceipt(size=size)

    return routes


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, READ_BYTES):
            yield piece
    finally:
        file.close()

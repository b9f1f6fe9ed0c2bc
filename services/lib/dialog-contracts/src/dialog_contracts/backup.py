"""Bodies of the endpoints for backup and restore.

A file to restore arrives in pieces, because servers accept no body above 64 kB.
"""

from typing import Annotated, Final

from pydantic import Base64Bytes, Field, StringConstraints

from dialog_contracts.model import Count, WireModel

BACKUP_TYPE: Final = "application/vnd.sqlite3"
"""Content type of a copy of a database."""

UPLOAD_PATH: Final = r"^uploads(/[0-9a-f]{32}(/restore)?)?$"
"""Pattern of a path below `/backup/{part}/`."""

PIECE_BYTES: Final = 45 * 1024
"""Bytes of a piece; in base64 it fits into one body."""


class BackupPiece(WireModel):
    """A piece of a file, in base64. `offset` is its place in the file."""

    offset: Annotated[int, Field(ge=0, le=2**40)]
    data: Annotated[Base64Bytes, Field(max_length=PIECE_BYTES)]


class UploadState(WireModel):
    """An upload: its name, and the bytes that have arrived."""

    upload: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    size: Annotated[int, Field(ge=0)]


class RestoreRequest(WireModel):
    """The file is complete; `sha256` is that of the whole file, in hex."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RestoreReceipt(WireModel):
    """The content was replaced by a file of `size` bytes."""

    size: Annotated[int, Field(ge=0)]


class BackupParts(WireModel):
    """Body of `GET /backup/engines`: the ordinals of the engines that answer."""

    engines: list[Count]
    unreachable: list[str] = Field(default=[], description="Engines that do not answer.")

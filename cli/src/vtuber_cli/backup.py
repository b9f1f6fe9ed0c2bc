"""`vtuber backup FILE` and `vtuber restore FILE`: the databases of a running system in one zip file.

The file has one SQLite database for each engine (turns and outbox) and one for analytics, and
`manifest.json` with the size and SHA-256 of each. It is written under another name first, so that a
file with the wanted name is complete.
"""

import base64
import hashlib
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from dialog_contracts.backup import (
    PIECE_BYTES,
    BackupParts,
    BackupPiece,
    RestoreReceipt,
    RestoreRequest,
    UploadState,
)
from dialog_contracts.model import WireModel
from vtuber_cli.console import Console
from vtuber_cli.gateway import GatewayUnreachable
from vtuber_cli.gateway_api import GatewayApi, RequestRefused
from vtuber_cli.progress import ProgressBar

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
ANALYTICS: Final = "analytics"


class _Nothing(WireModel):
    """A request without a body."""


class NotABackupFile(Exception):
    """The message says what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """One database in the file. `path` is its place in the API."""

    name: str
    path: str
    size: int
    sha256: str


def backup(api: GatewayApi, console: Console, target: Path) -> int:
    """Write the backup; return the exit status."""
    if target.exists():
        print(f"vtuber backup: {target} exists; choose another name", file=sys.stderr)
        return 1
    partial = target.with_name(f".{target.name}.partial")
    try:
        parts = _collect(api, console, partial)
        partial.rename(target)
    except (GatewayUnreachable, RequestRefused, OSError) as error:
        partial.unlink(missing_ok=True)
        print(f"vtuber backup: {error}", file=sys.stderr)
        return 1
    size = target.stat().st_size
    console.say(f"  {target}: {', '.join(part.name for part in parts)}; {size / 1e6:.1f} MB")
    return 0


def restore(api: GatewayApi, console: Console, source: Path) -> int:
    """Replace the content of the running system by a backup; return the exit status."""
    try:
        with zipfile.ZipFile(source) as archive:
            parts = read_manifest(archive)
            _check_engines(api, parts)
            for part in parts:
                _send(api, console, archive, part)
    except (NotABackupFile, zipfile.BadZipFile) as error:
        print(f"vtuber restore: {source}: {error}", file=sys.stderr)
        return 1
    except (GatewayUnreachable, RequestRefused, OSError) as error:
        print(f"vtuber restore: {error}", file=sys.stderr)
        return 1
    console.say(f"  Restored: {', '.join(part.name for part in parts)}")
    return 0


def read_manifest(archive: zipfile.ZipFile) -> list[Part]:
    """Return the parts of a backup, which are all there. Raises NotABackupFile."""
    try:
        found: Any = json.loads(archive.read(MANIFEST))
        if found["format"] != FORMAT:
            raise NotABackupFile(f"has format {found['format']}, and this version reads {FORMAT}")
        parts = [Part(**each) for each in found["parts"]]
    except (KeyError, ValueError, TypeError) as error:
        raise NotABackupFile("is not a backup of this program") from error
    for part in parts:
        if part.name not in archive.namelist():
            raise NotABackupFile(f"lacks {part.name}")
    return parts


def _collect(api: GatewayApi, console: Console, target: Path) -> list[Part]:
    found = api.get("/backup/engines", BackupParts)
    if found.unreachable:
        raise RequestRefused(
            f"no backup without {', '.join(found.unreachable)}: it does not answer"
        )
    places = [
        *((f"engine-{ordinal}.db", f"/backup/engines/{ordinal}") for ordinal in found.engines),
        (f"{ANALYTICS}.db", f"/backup/{ANALYTICS}"),
    ]
    parts = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in places:
            with archive.open(name, "w", force_zip64=True) as into:
                size, digest = 0, hashlib.sha256()
                for piece in api.stream(path):
                    into.write(piece)
                    digest.update(piece)
                    size += len(piece)
            console.say(f"  {name}: {size / 1e6:.1f} MB")
            parts.append(Part(name, path, size, digest.hexdigest()))
        manifest = {
            "format": FORMAT,
            "created": int(time.time()),
            "parts": [
                {"name": part.name, "path": part.path, "size": part.size, "sha256": part.sha256}
                for part in parts
            ],
        }
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
    return parts


def _check_engines(api: GatewayApi, parts: list[Part]) -> None:
    known = {
        f"/backup/engines/{ordinal}" for ordinal in api.get("/backup/engines", BackupParts).engines
    }
    lacking = [
        part.name
        for part in parts
        if part.path.startswith("/backup/engines/") and part.path not in known
    ]
    if lacking:
        raise RequestRefused(
            f"there is no engine for {', '.join(lacking)}: start as many engines as were backed up"
        )


def _send(api: GatewayApi, console: Console, archive: zipfile.ZipFile, part: Part) -> None:
    upload = api.post(f"{part.path}/uploads", _Nothing(), UploadState).upload
    place, sent = f"{part.path}/uploads/{upload}", 0
    with ProgressBar(console, part.name, part.size) as bar, archive.open(part.name) as content:
        for data in _pieces(content):
            encoded = base64.b64encode(data)
            piece = BackupPiece.model_validate({"offset": sent, "data": encoded})
            sent = api.post(place, piece, UploadState).size
            bar.show(sent)
    api.post(f"{place}/restore", RestoreRequest(sha256=part.sha256), RestoreReceipt)


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while data := content.read(PIECE_BYTES):
        yield data

"""Checks a database file at startup, so that a wrong path is reported before anything starts."""

import errno
import os
from pathlib import Path
from typing import Final

import apsw

from dialog_sqlite.errors import UnusableDatabase

_PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors that may be temporary; they do not stop the startup."""


def check(path: Path, setting: str) -> None:
    """Raise UnusableDatabase if the path cannot become a readable database by itself.

    `setting` is the setting that has the path, for the message.

    A file that is locked or does not exist yet is accepted. The folder is created.
    """
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnusableDatabase(
            f"{setting}: {folder} is not a folder; move it away, or set another file"
        ) from None
    except OSError as error:
        if error.errno in _PASSING:
            return
        raise UnusableDatabase(
            f"{setting}: the folder {folder} cannot be created ({error.strerror}); set another file"
        ) from error
    # os.path, because methods of Path raise PermissionError in a folder that is not readable.
    for each in (folder, path):
        if os.path.exists(each) and not os.access(
            each, os.W_OK | os.R_OK | (os.X_OK if os.path.isdir(each) else 0)
        ):
            raise UnusableDatabase(
                f"{setting}: {each} cannot be written by this user; change its permissions, "
                "or set another file"
            )
    if os.path.isdir(path):
        raise UnusableDatabase(
            f"{setting}: {path} is a folder, but must be a file; move it away, or set another file"
        )
    if os.path.exists(path):
        _read(path, setting)


def _read(path: Path, setting: str) -> None:
    try:
        db = apsw.Connection(str(path))
        try:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        finally:
            db.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise UnusableDatabase(
            f"{setting}: {path} is not an SQLite database, or is damaged ({error}); "
            "move it away and a new one is created, or set another file"
        ) from error
    except apsw.Error:
        # A locked file or a full disk may be temporary; opening the database tries again.
        return

"""Whether the engine's database can be used at all, found out before anything is started."""

import errno
import os
from pathlib import Path
from typing import Final

import apsw

SETTING: Final = "DIALOG_ENGINE_DB"
_PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What may be over in a moment is no reason to refuse."""


class UnusableDatabase(ValueError):
    """One sentence: the setting, the path, what is wrong, and what to do."""


def check(path: Path) -> None:
    """Raises UnusableDatabase for a file that no retry would make one. A file that is locked, or not there yet, is fine."""
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnusableDatabase(
            f"{SETTING}: {folder} is no folder; move what is there away, or name another file"
        ) from None
    except OSError as error:
        if error.errno in _PASSING:
            return
        raise UnusableDatabase(
            f"{SETTING}: the folder {folder} cannot be made ({error.strerror}); name another file"
        ) from error
    # os.path: Path's own questions raise where a folder is somebody else's.
    for each in (folder, path):
        if os.path.exists(each) and not os.access(
            each, os.W_OK | os.R_OK | (os.X_OK if os.path.isdir(each) else 0)
        ):
            raise UnusableDatabase(
                f"{SETTING}: {each} cannot be written; make it this user's, or name another file"
            )
    if os.path.isdir(path):
        raise UnusableDatabase(
            f"{SETTING}: {path} is a folder, and has to be a file; move it away, or name another file"
        )
    if os.path.exists(path):
        _read(path)


def _read(path: Path) -> None:
    try:
        db = apsw.Connection(str(path))
        try:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        finally:
            db.close()
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise UnusableDatabase(
            f"{SETTING}: {path} is no SQLite database, or is damaged ({error}); move it away and a new one is made, "
            "or name another file"
        ) from error
    except apsw.Error:
        # Busy, a full disk: tried again when it is opened.
        return

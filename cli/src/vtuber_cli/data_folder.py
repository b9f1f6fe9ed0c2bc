"""The data folder of a run: database, logs, embedded store, models.

Conversations are private, so only this user may read the folder, except the models. A lock allows
one run at a time.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from vtuber_cli.processes import RunError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LOGS: Final = "logs"
STORE: Final = "valkey"
MODELS: Final = "models"
_LOCK: Final = ".lock"
_ELSEWHERE: Final = "or use another folder: `vtuber run --data FOLDER`"


class DataFolder:
    """The data folder; `open` it before any process is started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        """Folder of the services' log files."""
        return self.path / LOGS

    @property
    def store(self) -> Path:
        """Folder of the embedded Valkey."""
        return (self.path / STORE).resolve()

    @property
    def tls(self) -> Path:
        """Folder of the page's certificate."""
        return (self.path / "tls").resolve()

    def open(self) -> None:
        """Create the folder, restrict its permissions, and lock it. Raises RunError."""
        # os.path, because methods of Path raise PermissionError in a folder that is not readable.
        own = not os.path.exists(self.path) or any(
            os.path.exists(self.path / name) for name in (LOGS, STORE, MODELS)
        )
        for folder in (self.path, self.logs, self.path / STORE):
            _make(folder)
        self._hold()
        # An existing folder with other contents keeps its mode; only what is created in it is
        # private.
        if own:
            self._close_to_others()

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _hold(self) -> None:
        path = self.path / _LOCK
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise RunError(
                f"{path} cannot be written ({error.strerror}): make {self.path} writable, "
                f"{_ELSEWHERE}."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._lock, 20).decode("ascii", "replace").strip()
            self.close()
            who = f"process {holder}" if holder else "another process"
            raise RunError(
                f"{self.path} is in use by another `vtuber run` ({who}): end that run, or use "
                "another folder and port "
                "for this one: `vtuber run --data FOLDER --port 8481`."
            ) from error
        except OSError:
            # The file system has no locks.
            return
        try:
            os.ftruncate(self._lock, 0)
            os.write(self._lock, str(os.getpid()).encode())
        except OSError as error:
            raise RunError(
                f"{path} cannot be written ({error.strerror}): free disk space for {self.path}, "
                f"{_ELSEWHERE}."
            ) from error

    def _close_to_others(self) -> None:
        for at, folders, files in os.walk(self.path):
            if Path(at) == self.path and MODELS in folders:
                folders.remove(MODELS)  # 150 MB that are not private.
            for name, mode in [(".", FOLDER_MODE), *((name, FILE_MODE) for name in files)]:
                path = Path(at, name)
                try:
                    if path.lstat().st_mode & 0o077 and not path.is_symlink():
                        path.chmod(mode)
                except OSError:
                    continue  # It belongs to another user, or was removed.


def _make(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        if os.path.exists(part) and not os.path.isdir(part):
            raise RunError(f"{part} is a file, but must be a folder: move it away, {_ELSEWHERE}.")
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be created ({error.strerror}): free disk space, change the "
            f"permissions, {_ELSEWHERE}."
        ) from error

"""Keys that sessions' documents refer to: files of a mounted Secret, by name."""

from collections.abc import Iterable
from pathlib import Path


class SessionKeys:
    """The kubelet needs up to a minute and a half to mount a new one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str | None) -> str | None:
        """The key, or None while it is not there."""
        if name is None or self._folder is None:
            return None
        try:
            # The name's pattern has no separator, so it cannot lead out of the folder.
            return Path(self._folder / name).read_text().strip() or None
        except OSError:
            return None

    def missing(self, names: Iterable[str | None]) -> list[str]:
        """Those that are named and not mounted (yet)."""
        return sorted({name for name in names if name is not None and self.read(name) is None})

"""Progress of a download: a bar on a terminal, one line at the end elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from vtuber_cli.console import Console

CELLS: Final = 30
MB: Final = 1_000_000


class ProgressBar:
    """The bar of one download of `total` bytes; used as a context manager."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console, self._title, self._total = console, title, total
        self._done, self._began = 0, time.monotonic()

    def __enter__(self) -> Self:
        self.show(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = time.monotonic() - self._began
        self._console.again(self._line(f"{seconds:.0f} s" if kind is None else "failed"), last=True)

    def show(self, done: int) -> None:
        """Show that `done` bytes have arrived."""
        self._done = done
        self._console.again(self._line(""))

    def _line(self, note: str) -> str:
        filled = CELLS * self._done // max(1, self._total)
        bar = "█" * filled + "░" * (CELLS - filled)
        return f"  {self._title:<36} {bar} {self._done / MB:4.0f} of {self._total / MB:.0f} MB  {note}".rstrip()

"""Text output that never fails its writer and never makes it wait: a full or closed disk or pipe costs lines, which are counted."""

import atexit
import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

CAPACITY_BYTES: Final = 1 << 20
"""Of what waits for a reader."""

EXIT_S: Final = 0.5
"""What still waits when the process ends gets so long."""

_PIECE: Final = 4096
"""PIPE_BUF of Linux: so much fits into a pipe that is ready to be written to."""


class NonBlockingOutput(io.TextIOBase):
    """Writes to a file descriptor. `lost(n)` gives the line that tells, when output works again, that n lines have been lost so far.

    While the reader keeps up, a write is a system call of the writer's own thread. What does not fit waits for a second thread,
    `capacity` bytes of it; more is lost.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        lost: Callable[[int], str] | None = None,
        capacity: int = CAPACITY_BYTES,
    ) -> None:
        super().__init__()
        self._fd, self._lost, self._capacity = descriptor, lost, capacity
        self._lock = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._pending = 0
        """Bytes that wait or are being written by the second thread."""
        self._thread: threading.Thread | None = None
        self._unreported = False
        self._torn = False
        """The last line was written in part only."""
        self.lines_lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of what is written."""
        return "utf-8"

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Returns at once, whatever becomes of it."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            # The end of a line that has begun is kept even where it is longer than what may wait.
            rest = data if self._pending else self._at_once(data)
            if rest and self._pending + len(rest) > self._capacity and self._pending:
                self._count(rest)
            elif rest:
                self._waiting.append(rest)
                self._pending += len(rest)
                self._begin()
                self._lock.notify_all()
        return len(text)

    def drain(self, within_s: float) -> bool:
        """Wait until everything has been written or lost; false when that takes longer."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._pending, within_s)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="output", daemon=True)
            self._thread.start()
            atexit.register(self.drain, EXIT_S)

    def _at_once(self, data: bytes) -> bytes:
        """Write what can be written without waiting; gives the rest."""
        torn, whole = self._torn, self._written() + data
        left = whole
        try:
            ready = select.poll()
            ready.register(self._fd, select.POLLOUT)
            while left and ready.poll(0):
                left = left[os.write(self._fd, left[:_PIECE]) :]
        except OSError:
            self._fail(data, torn=torn or len(left) < len(whole))
            return b""
        return left

    def _follow(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting)
                data = self._waiting.popleft()
                torn, left = self._torn, self._written() + data
                due = len(left)
            try:
                while left:
                    left = left[os.write(self._fd, left) :]
            except OSError:
                with self._lock:
                    self._fail(data, torn=torn or len(left) < due)
            with self._lock:
                self._pending -= len(data)
                self._lock.notify_all()

    def _written(self) -> bytes:
        """What is due before the next line."""
        said = b"\n" if self._torn else b""
        if self._unreported and self._lost is not None:
            said += self._lost(self.lines_lost).encode("utf-8", "backslashreplace") + b"\n"
        self._unreported = self._torn = False
        return said

    def _fail(self, data: bytes, *, torn: bool) -> None:
        self._torn = torn
        self._count(data)

    def _count(self, data: bytes) -> None:
        self._unreported = True
        self.lines_lost += max(1, data.count(b"\n"))


def non_blocking(stream: TextIO | None, lost: Callable[[int], str] | None = None) -> TextIO:
    """The stream's descriptor as SteadyOutput; a stream without a descriptor stays what it is, and a closed one takes everything."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, NonBlockingOutput):
        return stream
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError, AttributeError):
        # None of this process, or closed.
        return stream
    return NonBlockingOutput(descriptor, lost=lost)  # type: ignore[return-value]

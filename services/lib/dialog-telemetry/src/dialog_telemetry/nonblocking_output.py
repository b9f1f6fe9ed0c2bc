"""Text output that never raises an error in its caller and never blocks it.

A log line must not delay a turn, and a full disk, a full pipe or a closed pipe must not fail one.
While the reader keeps up, a write is one system call in the caller's thread. What the descriptor
does not accept at once is queued for a second thread, up to a capacity; further lines are dropped
and counted. When output works again, a line reports how many were lost.
"""

import atexit
import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

CAPACITY_BYTES: Final = 1 << 20
"""Largest amount of queued output in bytes."""

EXIT_S: Final = 0.5
"""Time in seconds to write queued output when the process ends."""

_PIECE: Final = 4096
"""PIPE_BUF of Linux: a pipe that polls as writable accepts this many bytes without blocking."""


class NonBlockingOutput(io.TextIOBase):
    """Text stream over a file descriptor.

    `lost(n)` returns the line that is written when output works again and n lines have been lost in
    total. `capacity` is the largest amount of queued output in bytes.
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
        """Bytes that are queued or are being written by the second thread."""
        self._thread: threading.Thread | None = None
        self._unreported = False
        self._torn = False
        """Whether the last line was written only in part."""
        self.lines_lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the output."""
        return "utf-8"

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write or queue `text` without blocking; returns its length also when it is dropped."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            # The rest of a line that was begun is kept even if it exceeds the capacity.
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
        """Wait until everything has been written or lost.

        Returns False after `within_s` seconds.
        """
        with self._lock:
            return self._lock.wait_for(lambda: not self._pending, within_s)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="output", daemon=True)
            self._thread.start()
            atexit.register(self.drain, EXIT_S)

    def _at_once(self, data: bytes) -> bytes:
        """Write what can be written without blocking, and return the rest."""
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
        """Return what precedes the next line: a line end and the report of lost lines, if due."""
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
    """Return the stream's descriptor as a NonBlockingOutput.

    A stream without a descriptor, or a closed one, is returned unchanged. For None the result
    discards everything.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, NonBlockingOutput):
        return stream
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError, AttributeError):
        # The stream has no descriptor, or is closed.
        return stream
    return NonBlockingOutput(descriptor, lost=lost)  # type: ignore[return-value]

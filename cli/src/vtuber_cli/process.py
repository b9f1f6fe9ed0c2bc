"""One child process: its output in lines, and its end together with all of its children.

A child runs in its own session, so that Ctrl-C in the terminal reaches only this process, which
ends its children in order. Killing the session's process group also ends what the child has
started. On Linux the kernel ends the child if this process is killed.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from vtuber_cli.line_splitter import LineSplitter

OUTPUT_DRAIN_S: Final = 0.5
"""Seconds to wait for remaining output after the process has ended."""

KILL_TIMEOUT_S: Final = 1.0
"""Seconds to wait after SIGKILL; a process that the kernel cannot end is left."""

PRIVATE: Final = 0o077
"""Umask of children: other users may not read what they write."""
_PR_SET_PDEATHSIG: Final = 1


class Process:
    """One child process. `line` is called with each line of its output."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], line: Callable[[str], None]
    ) -> None:
        self.name, self._command, self._env = name, command, env
        self._protocol = _Protocol(line)
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def pid(self) -> int:
        """Process id of the child."""
        assert self._transport is not None
        return self._transport.get_pid()

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._transport.get_returncode() if self._transport is not None else None

    async def start(self) -> None:
        """Start it. Raises OSError if the program cannot be started."""
        self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self._protocol,
            *self._command,
            env=dict(self._env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            umask=PRIVATE,
            # Ctrl-C in the terminal must reach only this process.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    async def wait(self) -> int:
        """Return the exit status after the last line of output.

        What the process has started and left behind is killed.
        """
        assert self._transport is not None
        await self._protocol.ended.wait()
        await self._clear(OUTPUT_DRAIN_S)
        status = self._transport.get_returncode()
        assert status is not None
        return status

    async def stop(self, grace_s: float) -> None:
        """Send SIGTERM; after `grace_s` seconds kill it with all of its children."""
        if self._transport is None:
            return
        with suppress(ProcessLookupError):
            self._transport.terminate()
        await _happens(self._protocol.ended, grace_s)
        await self._clear(KILL_TIMEOUT_S)

    def kill(self) -> None:
        """Kill it and all of its children at once."""
        if self._transport is not None and self._transport.get_returncode() is None:
            self._kill_group()

    async def _clear(self, within_s: float) -> None:
        """Kill the process group and read the remaining output."""
        assert self._transport is not None
        self._kill_group()
        await _happens(self._protocol.said, within_s)
        await _happens(self._protocol.ended, within_s)
        self._transport.close()

    def _kill_group(self) -> None:
        # The id of the process group is the child's pid, and stays valid while any member lives.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class _Protocol(asyncio.SubprocessProtocol):
    """Replaces asyncio's streams: their `wait` also waits for the pipe to close.

    A child of the process may keep the pipe open.
    """

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line, self._lines = line, LineSplitter()
        self.ended, self.said = asyncio.Event(), asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Split output into lines."""
        for line in self._lines.feed(data):
            self._line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """All holders of the pipe have closed it."""
        for line in self._lines.end():
            self._line(line)
        self.said.set()

    def process_exited(self) -> None:
        """The process itself has ended."""
        self.ended.set()


async def _happens(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

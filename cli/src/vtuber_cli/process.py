"""One child process: its lines, its end. Children die with us, even when we are killed."""

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
"""After its end, for what it wrote before."""

KILL_TIMEOUT_S: Final = 1.0
"""A process that was killed is gone by then, unless the kernel cannot let go of it; nobody waits for that."""

PRIVATE: Final = 0o077
_PR_SET_PDEATHSIG: Final = 1


class Process:
    """`start` it, have its lines by the callback, `stop` it. Its output is read whatever the callback does with it."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], line: Callable[[str], None]
    ) -> None:
        self.name, self._command, self._env = name, command, env
        self._protocol = _Protocol(line)
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._transport is not None
        return self._transport.get_pid()

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._transport.get_returncode() if self._transport is not None else None

    async def start(self) -> None:
        """Raises OSError when the program cannot be started."""
        self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self._protocol,
            *self._command,
            env=dict(self._env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Conversations are nobody else's business.
            umask=PRIVATE,
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    async def wait(self) -> int:
        """Its exit status, after its last line. What it started and left behind is ended."""
        assert self._transport is not None
        await self._protocol.ended.wait()
        await self._clear(OUTPUT_DRAIN_S)
        status = self._transport.get_returncode()
        assert status is not None
        return status

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, then make it, and all that it started."""
        if self._transport is None:
            return
        with suppress(ProcessLookupError):
            self._transport.terminate()
        await _happens(self._protocol.ended, grace_s)
        await self._clear(KILL_TIMEOUT_S)

    def kill(self) -> None:
        """Now: it, and all that it started."""
        if self._transport is not None and self._transport.get_returncode() is None:
            self._kill_group()

    async def _clear(self, within_s: float) -> None:
        """Of what it started nothing runs any more; what was said is read."""
        assert self._transport is not None
        self._kill_group()
        await _happens(self._protocol.said, within_s)
        await _happens(self._protocol.ended, within_s)
        self._transport.close()

    def _kill_group(self) -> None:
        # Its session's number is its own process id, also when it is gone and what it started is not.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class _Protocol(asyncio.SubprocessProtocol):
    """Not asyncio's streams: their `wait` waits for the pipe too, which whatever the child left behind keeps open."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line, self._lines = line, LineSplitter()
        self.ended, self.said = asyncio.Event(), asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The next bytes of what it says."""
        for line in self._lines.feed(data):
            self._line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Nobody has the pipe any more."""
        for line in self._lines.end():
            self._line(line)
        self.said.set()

    def process_exited(self) -> None:
        """The process itself is gone."""
        self.ended.set()


async def _happens(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

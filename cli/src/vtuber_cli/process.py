"""One child process: its lines, its end. Children die with us, even when we are killed."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from vtuber_cli.lines import Lines

READ_BYTES: Final = 64 * 1024
LAST_WORDS_S: Final = 0.5
"""After its end, for what it wrote before."""

KILLED_WITHIN_S: Final = 1.0
"""A process that was killed is gone by then, unless the kernel cannot let go of it; nobody waits for that."""

PRIVATE: Final = 0o077
_PR_SET_PDEATHSIG: Final = 1


class Process:
    """`start` it, have its lines by the callback, `stop` it. Its output is read whatever the callback does with it."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], line: Callable[[str], None]) -> None:
        self.name, self._command, self._env, self._line = name, command, env, line
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._child.returncode if self._child is not None else None

    async def start(self) -> None:
        """Raises OSError when the program cannot be started."""
        self._child = await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(self._env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Conversations are nobody else's business.
            umask=PRIVATE,
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._reader = asyncio.create_task(self._read(self._child))

    async def wait(self) -> int:
        """Its exit status, after its last line. What it started and left behind is ended."""
        assert self._child is not None
        assert self._reader is not None
        status = await self._child.wait()
        self._kill_group()
        await asyncio.wait([self._reader], timeout=LAST_WORDS_S)
        return status

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, then make it, and all that it started."""
        if self._child is None:
            return
        with suppress(ProcessLookupError):
            self._child.terminate()
        ended = asyncio.create_task(self._child.wait())
        await asyncio.wait([ended], timeout=grace_s)
        self._kill_group()
        await asyncio.wait([ended], timeout=KILLED_WITHIN_S)
        ended.cancel()

    def kill(self) -> None:
        """Now: it, and all that it started."""
        if self._child is not None and self._child.returncode is None:
            self._kill_group()

    def _kill_group(self) -> None:
        # Its session's number is its own process id, also when it is gone and what it started is not.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        lines = Lines()
        while data := await child.stdout.read(READ_BYTES):
            for line in lines.feed(data):
                self._line(line)
        for line in lines.end():
            self._line(line)


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""One child process: its lines, its end. Children die with us, even when we are killed."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

LINE_BYTES: Final = 1024 * 1024
_PR_SET_PDEATHSIG: Final = 1


class Process:
    """`start` it, read its lines by the callback, `stop` it."""

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
            limit=LINE_BYTES,
            # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._reader = asyncio.create_task(self._read(self._child))

    async def wait(self) -> int:
        """Its exit status, after its last line."""
        assert self._child is not None
        assert self._reader is not None
        status = await self._child.wait()
        await asyncio.wait([self._reader], timeout=0.5)
        return status

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, then make it."""
        if self._child is None or self._child.returncode is not None:
            return
        self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), grace_s)
        except TimeoutError:
            self._child.kill()
            await self._child.wait()

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        while raw := await child.stdout.readline():
            self._line(raw.decode("utf-8", "replace").rstrip("\n"))


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

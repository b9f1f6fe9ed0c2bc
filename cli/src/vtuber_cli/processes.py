"""The child processes of a run, by name: starting, logs, and the order in which they end."""

import asyncio
from pathlib import Path
from typing import Final

from vtuber_cli.console import Console
from vtuber_cli.log_file import LogFile
from vtuber_cli.process import Process
from vtuber_cli.valkey import NAME as VALKEY

GRACE_S: Final = 3.3
"""Seconds for which a process may end by itself; then it is killed."""
KILL_GRACE_S: Final = 0.7
"""The same for the processes in CALLED.

Together with GRACE_S the shutdown stays below five seconds.
"""

CALLED: Final = ("output-handler", VALKEY)
"""Processes that end last, in this order, because others have connections to them."""


class RunError(Exception):
    """A run cannot start or continue; the message says what to do."""


class Processes:
    """The processes of a run.

    Their output is written to files in `logs` and printed; that of Valkey is not printed.
    """

    def __init__(self, console: Console, logs: Path) -> None:
        self._console, self._folder = console, logs
        self._logs: dict[str, LogFile] = {}
        self._running: dict[str, Process] = {}

    async def launch(self, name: str, colour: str, command: list[str], env: dict[str, str]) -> None:
        """Start a process, or restart it under the same name. Raises RunError."""
        if name not in self._logs:
            self._logs[name] = LogFile(self._folder / f"{name}.log")
        log = self._logs[name]

        def line(raw: str) -> None:
            before = log.lines_lost
            log.add(raw)
            if log.lines_lost and not before:
                self._console.say(
                    f"{self._console.paint('Log lines are lost:', 'yellow')} {log.path} cannot be "
                    "written."
                )
            if name != VALKEY:
                self._console.service_line(name, colour, raw)

        process = Process(name, command, env, line)
        try:
            await process.start()
        except OSError as error:
            raise RunError(
                f"{name} cannot be started: {error}. Run `make clean` and try again."
            ) from error
        self._running[name] = process

    async def wait(self, name: str) -> int:
        """Wait until the process has ended; return its exit status."""
        return await self._running[name].wait()

    def ended(self, name: str) -> bool:
        """Whether the process has ended or was never started."""
        return name not in self._running or self._running[name].returncode is not None

    def log_of(self, name: str) -> Path:
        """Return the path of its log file."""
        return self._logs[name].path

    def crash_report(self, name: str) -> str:
        """Return a text with its exit status and its last lines."""
        log = self._logs[name]
        tail = "\n".join(f"    {self._console.readable(raw)}" for raw in log.last[-6:])
        return f"{name} ended with status {self._running[name].returncode}. Its last lines ({log.path}):\n{tail}"

    def refusal(self, name: str) -> str:
        """Return the message of a process with invalid settings, or else the crash report."""
        # The process `dialog-engine-1` uses the name `dialog-engine` in its message.
        words = [
            raw
            for raw in self._logs[name].last
            if (who := raw.partition(": ")[0]) and name.startswith(who) and ": " in raw
        ]
        return "\n".join(words) or self.crash_report(name)

    def last_words(self, name: str) -> str:
        """Return the last line of its output."""
        return self._logs[name].last[-1] if self._logs[name].last else "nothing"

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    async def stop_all(self) -> None:
        """Ask all processes to end, and kill those that do not."""
        for signal_round in ("", *CALLED):
            together = [
                process for name, process in self._running.items() if _called(name) == signal_round
            ]
            await asyncio.gather(
                *(process.stop(KILL_GRACE_S if signal_round else GRACE_S) for process in together)
            )
        for log in self._logs.values():
            log.close()

    def kill_all(self) -> None:
        """Kill all processes and their children at once; any thread may call it."""
        for process in list(self._running.values()):
            process.kill()


def _called(name: str) -> str:
    # `output-handler-1` is a replica of `output-handler`.
    return next((each for each in CALLED if name.startswith(each)), "")

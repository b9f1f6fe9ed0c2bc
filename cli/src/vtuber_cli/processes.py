"""The child processes of `vtuber run`, by name: each with a log, started again under the same name, ended together."""

import asyncio
from pathlib import Path
from typing import Final

from vtuber_cli.console import Console
from vtuber_cli.log_file import LogFile
from vtuber_cli.process import Process
from vtuber_cli.valkey import NAME as VALKEY

GRACE_S: Final = 3.3
KILL_GRACE_S: Final = 0.7
"""Together below the five in which Ctrl-C has to end everything."""

CALLED: Final = ("output-handler", VALKEY)
"""Others have connections to these as long as they run: they are ended after the rest, in this order, so that nobody is refused."""


class RunError(Exception):
    """One sentence, with the way out."""


class Processes:
    """`logs`: the folder of their raw lines; what they say is also printed, except by Valkey."""

    def __init__(self, console: Console, logs: Path) -> None:
        self._console, self._folder = console, logs
        self._logs: dict[str, LogFile] = {}
        self._running: dict[str, Process] = {}

    async def launch(self, name: str, colour: str, command: list[str], env: dict[str, str]) -> None:
        """Start one, or start it again. Raises CannotRun."""
        if name not in self._logs:
            self._logs[name] = LogFile(self._folder / f"{name}.log")
        log = self._logs[name]

        def line(raw: str) -> None:
            before = log.lines_lost
            log.add(raw)
            if log.lines_lost and not before:
                self._console.say(
                    f"{self._console.paint('Log lines are lost:', 'yellow')} {log.path} cannot be written."
                )
            if name != VALKEY:
                self._console.service_line(name, colour, raw)

        process = Process(name, command, env, line)
        try:
            await process.start()
        except OSError as error:
            raise RunError(
                f"{name} cannot be started: {error}. `make clean` and try again."
            ) from error
        self._running[name] = process

    async def wait(self, name: str) -> int:
        """Its exit status, when it has ended."""
        return await self._running[name].wait()

    def ended(self, name: str) -> bool:
        """Whether it has, or never began."""
        return name not in self._running or self._running[name].returncode is not None

    def log_of(self, name: str) -> Path:
        """The file of its raw lines."""
        return self._logs[name].path

    def crash_report(self, name: str) -> str:
        """How it ended, and what it said last."""
        log = self._logs[name]
        tail = "\n".join(f"    {self._console.readable(raw)}" for raw in log.last[-6:])
        return f"{name} ended with status {self._running[name].returncode}. Its last lines ({log.path}):\n{tail}"

    def refusal(self, name: str) -> str:
        """What a process said that refused its settings: its own words, or all of its last lines where it used none."""
        # `dialog-engine-1` speaks of itself as `dialog-engine`.
        words = [
            raw
            for raw in self._logs[name].last
            if (who := raw.partition(": ")[0]) and name.startswith(who) and ": " in raw
        ]
        return "\n".join(words) or self.crash_report(name)

    def last_words(self, name: str) -> str:
        """The last line that it said."""
        return self._logs[name].last[-1] if self._logs[name].last else "nothing"

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    async def stop_all(self) -> None:
        """Ask all to end, then make them."""
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
        """Now, and with all that they started. May be called by any thread, at any time."""
        for process in list(self._running.values()):
            process.kill()


def _called(name: str) -> str:
    # `output-handler-1` is one more of the same.
    return next((each for each in CALLED if name.startswith(each)), "")

"""The real processes, as `make run` starts them, on free ports and in a folder of their own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60
BYTECODE = ROOT / ".pytest_cache" / "bytecode"
"""Compiled modules of all processes of all tests.

Where Python may not keep them, each would compile everything, for a second or more.
"""
FAKES = {
    "LLM_CHAIN": "e2e.harness.fake_models:brain",
    "VOICE_CHAIN": "e2e.harness.fake_models:voice",
}


def _module(name: str) -> list[str]:
    return ["-m", name.replace("-", "_")]


_COMMANDS = {
    "ltm-worker": ["-m", "async_workers", "ltm"],
    "analytics-worker": ["-m", "async_workers", "analytics"],
}


@dataclass(frozen=True)
class Stack:
    """A running system. `url` is the gateway's."""

    url: str
    redis: str
    ports: Mapping[str, int]
    pids: Mapping[str, int]
    legacy: bool
    data: Path
    process: subprocess.Popen[str]

    @property
    def ws(self) -> str:
        return "ws" + self.url.removeprefix("http")

    def service(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def pid_of(self, name: str) -> int:
        """The present process of a service: the runner starts one anew that was killed."""
        for child in psutil.Process(self.process.pid).children():
            if child.cmdline()[-len(_COMMANDS.get(name, _module(name))) :] == _COMMANDS.get(
                name, _module(name)
            ):
                return int(child.pid)
        raise AssertionError(f"{name} does not run")

    async def whole(self, seconds: float = READY_WITHIN_S) -> None:
        """Until the legacy chain is ready too, which is started after the main path so that nobody waits for it."""
        async with asyncio.timeout(seconds):
            while not json.loads((self.data / "state.json").read_text())["legacy"]:
                await asyncio.sleep(0.05)

    def log_lines(self, service: str) -> list[dict[str, object]]:
        path = self.data / "logs" / f"{service}.log"
        return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's, for a process of ours that has room for every test's requests."""
    room = {"RATE_LIMIT_PER_SECOND": "10000", "RATE_LIMIT_BURST": "10000"}
    quick = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    return {**os.environ, "PYTHONPATH": str(ROOT), **room, **quick, **extra}


@contextmanager
def running(
    data: Path,
    env: Mapping[str, str] | None = None,
    *,
    legacy: bool = False,
    workers: bool = False,
    changes: Sequence[str] = (),
    scales: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Iterator[Stack]:
    """Start everything, wait until it is ready, end it with Ctrl-C. `legacy`.

    With the legacy chain, which is waited for too; `workers`: with the consumers of events.
    """
    state = data / "state.json"
    state.unlink(missing_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    out = (data / "run.log").open("a")
    command = [
        sys.executable,
        "-m",
        "vtuber_cli",
        "run",
        "--ephemeral",
        "--data",
        str(data),
        "--state",
        str(state),
    ]
    command += [part for change in changes for part in ("--set", change)]
    command += [part for scale in scales for part in ("--scale", scale)]
    command += options
    env = {
        "LEGACY_ENABLED": str(legacy).lower(),
        "MICROPHONE_ENABLED": str(legacy).lower(),
        "WORKERS_ENABLED": str(workers).lower(),
        **(env or {}),
    }
    process = subprocess.Popen(
        command, env=environment(env), stdout=out, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not state.exists() or (
            (legacy or workers) and not json.loads(state.read_text())["legacy"]
        ):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the system did not start:\n{(data / 'run.log').read_text()[-4000:]}"
                )
            time.sleep(0.05)
        yield Stack(**json.loads(state.read_text()), data=data, process=process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=10)
        out.close()

"""`vtuber run`: everything on this machine, from one declaration, until Ctrl-C."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vtuber_cli import models, ports, providers, readiness, valkey
from vtuber_cli.console import Console
from vtuber_cli.processes import CannotRun, Processes
from vtuber_cli.settings import GATEWAY_PORT, VALKEY_PORT, RunSettings, ServiceSpec
from vtuber_cli.wiring import fill

READY_WITHIN_S: Final = 60
CRASHES_FORGIVEN: Final = 3
CRASH_WINDOW_S: Final = 60


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Command-line options. `ephemeral`: free ports for everything but what `port` names.
    `host`: where the gateway listens. `state`: file that gets ports and pids as JSON when all is ready.
    """

    data: Path
    port: int | None = None
    host: str = "127.0.0.1"
    ephemeral: bool = False
    state: Path | None = None


class Runner:
    """Starts, watches and ends the processes."""

    def __init__(self, settings: RunSettings, options: RunOptions, console: Console) -> None:
        self._settings, self._options, self._console = settings, options, console
        self._services = self._with_ports(settings)
        self._valkey_port = ports.free() if options.ephemeral else VALKEY_PORT
        self._redis_url = settings.redis_url or f"redis://127.0.0.1:{self._valkey_port}/0"
        self._processes = Processes(console, options.data / "logs")
        self._crashes: dict[str, list[float]] = {}
        self._ending = asyncio.Event()

    async def run(self) -> int:
        """Until Ctrl-C or SIGTERM (0) or something that cannot be mended (1)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ending.set)
        try:
            return await self._run()
        except CannotRun as error:
            self._console.say(f"{self._console.paint('Cannot run:', 'red')} {error}")
            return 1
        finally:
            await self._processes.stop_all()

    async def _run(self) -> int:
        began = time.monotonic()
        self._check_ports()
        self._options.data.mkdir(parents=True, exist_ok=True)
        if self._settings.redis_url is None:
            await self._start_valkey()
        main = [spec for spec in self._services if not spec.fallback]
        for spec in main:
            await self._start(spec)
        watching = [asyncio.create_task(self._watch(spec)) for spec in main]
        ended = asyncio.create_task(self._ending.wait())
        ready = asyncio.create_task(self._all_ready(main))
        fallback: asyncio.Task[None] | None = None
        try:
            await asyncio.wait([*watching, ended, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                self._announce(time.monotonic() - began)
                fallback = asyncio.create_task(self._run_fallback())
            done, _ = await asyncio.wait([*watching, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {ended}:
                task.result()
        finally:
            tasks = [*watching, ended, ready, *([fallback] if fallback is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._console.say("Stopping …")
        return 0

    async def _run_fallback(self) -> None:
        """The legacy chain, after the main path so that nobody waits for it. It is watched too, but never ends the run."""
        chain = [spec for spec in self._services if spec.fallback]
        if not chain:
            return
        for spec in chain:
            await self._start(spec)
        async with asyncio.TaskGroup() as together:
            for spec in chain:
                together.create_task(self._watch_fallback(spec))
            try:
                await self._all_ready(chain)
            except CannotRun as error:
                self._console.say(f"{self._console.paint('No fallback:', 'red')} {error}")
                return
            self._write_state(legacy=True)
            self._console.say("  The fallback is ready too.")

    async def _watch_fallback(self, spec: ServiceSpec) -> None:
        try:
            await self._watch(spec)
        except CannotRun as error:
            self._console.say(f"{self._console.paint('Without fallback:', 'red')} {error}")

    def _with_ports(self, settings: RunSettings) -> tuple[ServiceSpec, ...]:
        chosen = self._options.port or (None if self._options.ephemeral else settings.port)
        specs = settings.services
        if self._options.ephemeral:
            specs = tuple(replace(spec, port=ports.free()) for spec in specs)
        return tuple(replace(spec, port=chosen) if chosen is not None and spec.name == "gateway" else spec for spec in specs)

    def _port(self, name: str) -> int:
        return next(spec.port for spec in self._services if spec.name == name)

    def _check_ports(self) -> None:
        wanted = {spec.port: spec.name for spec in self._services}
        if self._settings.redis_url is None:
            wanted[self._valkey_port] = valkey.NAME
        for port, name in wanted.items():
            if ports.busy(port):
                out = "or choose another: PORT=8080 make run" if name == "gateway" else "it may be an earlier `make run`"
                raise CannotRun(f"port {port}, which {name} needs, is in use{ports.holder(port)}. End that program, {out}.")

    async def _start_valkey(self) -> None:
        folder = self._options.data / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            command = valkey.command(folder.resolve(), self._valkey_port)
        except valkey.NoValkey as error:
            raise CannotRun(str(error)) from error
        await self._processes.launch(valkey.NAME, "grey", command, {})
        for _ in range(200):
            if self._processes.ended(valkey.NAME):
                raise CannotRun(self._processes.crash_report(valkey.NAME))
            if await valkey.answers(self._valkey_port):
                return
            await asyncio.sleep(0.05)
        raise CannotRun(f"valkey did not answer within 10 s; see {self._processes.log_of(valkey.NAME)}")

    async def _start(self, spec: ServiceSpec) -> None:
        env = {
            **self._settings.profile,
            **self._settings.inherited,
            "PORT": str(spec.port),
            "PYTHONUNBUFFERED": "1",
        }
        # What the shell says wins over the profile, but never over the wiring between the processes of this run.
        env |= {key: fill(value, spec, self._services, self._options.data) for key, value in spec.env.items()}
        env |= {"REDIS_URL": self._redis_url, "HOST": self._options.host if spec.name == "gateway" else "127.0.0.1"}
        await self._processes.launch(spec.name, spec.colour, [sys.executable, "-m", spec.module], env)

    async def _watch(self, spec: ServiceSpec) -> None:
        while True:
            status = await self._processes.wait(spec.name)
            now = time.monotonic()
            crashes = [at for at in self._crashes.get(spec.name, []) if now - at < CRASH_WINDOW_S] + [now]
            self._crashes[spec.name] = crashes
            if status == 2 or len(crashes) > CRASHES_FORGIVEN:
                raise CannotRun(self._processes.crash_report(spec.name))
            self._console.say(
                f"{self._console.paint(f'{spec.name} ended with status {status}', 'red')}; it is started again. "
                f"Its log: {self._processes.log_of(spec.name)}"
            )
            await asyncio.sleep(0.3)
            await self._start(spec)

    async def _all_ready(self, specs: Sequence[ServiceSpec]) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        for spec in specs:
            while not (state := await asyncio.to_thread(self._state, spec))[0]:
                if time.monotonic() > deadline:
                    raise CannotRun(
                        f"{spec.name} is not ready after {READY_WITHIN_S} s: {state[1]}. See {self._processes.log_of(spec.name)}"
                    )
                await asyncio.sleep(0.1)

    def _state(self, spec: ServiceSpec) -> tuple[bool, str]:
        # A process that is gone is not ready, whoever answers on its port.
        if self._processes.ended(spec.name):
            return False, "it has ended"
        return readiness.of(spec.port)

    def _announce(self, seconds: float) -> None:
        address = f"http://localhost:{self._port('gateway')}"
        self._write_state(legacy=False)
        paint = self._console.paint
        self._console.say()
        self._console.say(
            f"  {paint('Ready', 'green')} in {seconds:.1f} s:  {paint(address, 'bold')}   (a page; API at {address}/docs)"
        )
        elsewhere = "" if self._port("gateway") == GATEWAY_PORT else f" --url {address}"
        self._console.say(f'  In a terminal:  .venv/bin/vtuber say "hello"{elsewhere}')
        for line in providers.of_run(self._services):
            self._console.say(f"  {line}")
        if (without := models.missing(models.folder(self._options.data))) is not None and any(
            spec.service == "asr" for spec in self._services
        ):
            self._console.say(f"  {without}")
        self._console.say("  Ctrl-C ends everything; conversations stay in " + str(self._options.data))
        self._console.say()

    def _write_state(self, *, legacy: bool) -> None:
        """For programs that drive this one; written again, as a whole, when the legacy chain is ready."""
        if self._options.state is None:
            return
        state = {
            "url": f"http://127.0.0.1:{self._port('gateway')}",
            "redis": self._redis_url,
            "ports": {spec.name: spec.port for spec in self._services},
            "pids": self._processes.pids(),
            "legacy": legacy,
        }
        half = self._options.state.with_suffix(".part")
        half.write_text(json.dumps(state), encoding="utf-8")
        half.replace(self._options.state)

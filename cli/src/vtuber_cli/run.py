"""`vtuber run`: the whole system on this machine, until Ctrl-C.

`services.toml` declares the services. A run checks the page's port and gives others to processes
whose port is in use, locks the data folder, starts the embedded Valkey, and then starts the
services of the main path together. When they are ready, or after 60 s, the address is printed. Only
then the legacy pipeline starts, because nothing waits for it and starting it would slow down the
main path.

A supervisor restarts each process that ends (`service_supervisor.py`). A run ends with an error
only if it cannot begin, or if a service of the main path has invalid settings. A failure of the
legacy pipeline is printed.

Processes get their addresses by placeholders in `services.toml`, so no service needs another
configuration than on a cluster. Ports are in `port_assignment.py`, and the end of a run is in
`shutdown.py` and `processes.py`.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from vtuber_cli import (
    addresses,
    certificate,
    models,
    port_assignment,
    ports,
    provider_summary,
    readiness,
    service_addresses,
    state_file,
    valkey_process,
)
from vtuber_cli.console import Console
from vtuber_cli.data_folder import DataFolder
from vtuber_cli.placeholders import expand
from vtuber_cli.processes import Processes, RunError
from vtuber_cli.service_supervisor import ServiceSupervisor
from vtuber_cli.settings import GATEWAY_PORT, VALKEY_PORT, RunSettings, ServiceSpec
from vtuber_cli.shutdown import Shutdown

READY_WITHIN_S: Final = 60
"""Seconds to wait for services before the user is informed about what is missing."""
PAGE: Final = "gateway"
"""Name of the service that serves the page."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of the command line.

    `host` is the address of the page, `https` adds a self-signed certificate. `ephemeral`: all
    ports except a given `port` are free ones. `state`: file that gets ports and process ids as JSON
    when the main path is ready.
    """

    data: Path
    port: int | None = None
    host: str = "127.0.0.1"
    ephemeral: bool = False
    state: Path | None = None
    https: bool = False

    @property
    def scheme(self) -> str:
        """Scheme of the page's URL."""
        return "https" if self.https else "http"


class Runner:
    """Starts, supervises and ends the processes of a run."""

    def __init__(self, settings: RunSettings, options: RunOptions, console: Console) -> None:
        self._settings, self._options, self._console = settings, options, console
        self._services = port_assignment.choose_page_port(
            settings, PAGE, options.port, ephemeral=options.ephemeral
        )
        self._valkey_port: int | None = ports.free() if options.ephemeral else VALKEY_PORT
        self._data = DataFolder(options.data)
        self._processes = Processes(console, self._data.logs)
        self._looking = asyncio.Lock()
        self._claims = ports.Claims()
        self._certificate: certificate.Certificate | None = None

    async def run(self) -> int:
        """Run until a signal ends it (returns 0), or until it cannot continue (returns 1)."""
        with Shutdown(self._processes.kill_all) as ending:
            running, asked = (
                asyncio.create_task(self._run()),
                asyncio.create_task(ending.asked.wait()),
            )
            try:
                await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    running.result()
                self._console.say("Stopping …")
                return 0
            except RunError as error:
                self._console.say(f"{self._console.paint('Cannot run:', 'red')} {error}")
                return 1
            finally:
                for task in (running, asked):
                    task.cancel()
                await asyncio.gather(running, asked, return_exceptions=True)
                await self._processes.stop_all()
                self._data.close()
                self._claims.close()

    async def _run(self) -> None:
        """Start everything and supervise it until cancelled. Raises RunError."""
        began = time.monotonic()
        self._settle_ports()
        self._data.open()
        found = service_addresses.run_addresses(
            self._services, PAGE, self._options.host, self._options.scheme
        )
        if (problem := service_addresses.write(self._options.data, found)) is not None:
            self._console.say(problem)
        if self._options.https:
            self._certificate = certificate.own(self._data.tls, self._options.host)
        store = []
        if self._valkey_port is not None:
            store.append(
                await valkey_process.start(
                    self._processes,
                    self._console,
                    self._data.store,
                    self._valkey_port,
                    READY_WITHIN_S,
                )
            )
        main = [spec for spec in self._services if not spec.starts_later]
        for spec in main:
            await self._start(spec)
        supervisors = [self._supervisor(spec) for spec in main]
        tasks = [asyncio.create_task(supervisor.run()) for supervisor in [*store, *supervisors]]
        tasks.append(asyncio.create_task(self._print_ready(supervisors, began)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await _end(tasks)

    async def _print_ready(self, main: Sequence[ServiceSupervisor], began: float) -> None:
        """Print the address or what is missing, then run the legacy pipeline."""
        missing = await self._missing(main)
        self._announce(time.monotonic() - began)
        for supervisor in missing:
            self._console.say(
                f"  {self._console.paint(f'Without {supervisor.name}:', 'red')} {self._why_missing(supervisor)}"
            )
        await self._run_fallback()

    async def _run_fallback(self) -> None:
        """Run the legacy pipeline and background services; their failures never end the run."""
        chain = [spec for spec in self._services if spec.starts_later]
        try:
            for spec in chain:
                await self._start(spec)
        except RunError as error:
            self._console.say(f"{self._console.paint('Without fallback:', 'red')} {error}")
            return
        supervisors = [self._supervisor(spec) for spec in chain]
        tasks = [
            asyncio.create_task(self._supervise_fallback(supervisor)) for supervisor in supervisors
        ]
        try:
            for supervisor in await self._missing(supervisors):
                self._console.say(
                    f"{self._console.paint(f'Without {supervisor.name}:', 'red')} "
                    f"{self._why_missing(supervisor)}"
                )
            for supervisor in supervisors:
                await supervisor.until_ready()
            if chain:
                self._write_state(legacy=True)
                self._console.say("  The fallback is ready too.")
            await asyncio.gather(*tasks)
        finally:
            await _end(tasks)

    async def _supervise_fallback(self, supervisor: ServiceSupervisor) -> None:
        try:
            await supervisor.run()
        except RunError as error:
            self._console.say(f"{self._console.paint('Without fallback:', 'red')} {error}")

    def _supervisor(self, spec: ServiceSpec) -> ServiceSupervisor:
        return ServiceSupervisor(
            spec.name,
            self._processes,
            self._console,
            partial(self._start, spec),
            partial(self._state, spec),
            without=spec.without,
        )

    async def _missing(self, supervisors: Sequence[ServiceSupervisor]) -> list[ServiceSupervisor]:
        """Return the supervisors whose process is not ready after READY_WITHIN_S.

        It returns earlier when each one is ready or keeps ending.
        """
        waiting = [asyncio.create_task(supervisor.settled()) for supervisor in supervisors]
        if waiting:
            await asyncio.wait(waiting, timeout=READY_WITHIN_S)
        await _end(waiting)
        return [supervisor for supervisor in supervisors if not supervisor.is_ready]

    def _why_missing(self, supervisor: ServiceSupervisor) -> str:
        return f"{supervisor.reason}. Until it is ready, {supervisor.without}. See {self._processes.log_of(supervisor.name)}"

    def _port(self, name: str) -> int:
        return next(spec.port for spec in self._services if spec.name == name)

    def _settle_ports(self) -> None:
        """Replace ports that are in use. Raises RunError if the page's port is."""
        if (why := ports.refusal(self._port(PAGE), self._options.host)) is not None:
            raise RunError(why)
        store = self._valkey_port if self._settings.redis_url is None else None
        self._services, self._valkey_port, moved = port_assignment.assign_ports(
            self._services, PAGE, store, self._claims
        )
        if moved:
            self._console.say(
                f"  The usual ports of {', '.join(moved)} are in use; other ports were assigned."
            )

    @property
    def _redis_url(self) -> str:
        return self._settings.redis_url or f"redis://127.0.0.1:{self._valkey_port}/0"

    async def _start(self, spec: ServiceSpec) -> None:
        env = {
            **self._settings.profile,
            **self._settings.inherited,
            "PORT": str(spec.port),
            "PYTHONUNBUFFERED": "1",
        }
        # The user's environment wins over the profile, but not over the addresses within this run.
        env |= {
            key: expand(value, spec, self._services, self._options.data)
            for key, value in spec.env.items()
        }
        if spec.name == PAGE and self._certificate is not None:
            env |= {
                "TLS_CERTIFICATE": str(self._certificate.certificate),
                "TLS_KEY": str(self._certificate.key),
            }
        env |= {
            "REDIS_URL": self._redis_url,
            "HOST": self._options.host if spec.name == "gateway" else "127.0.0.1",
        }
        await self._processes.launch(
            spec.name, spec.colour, [sys.executable, "-m", spec.module, *spec.arguments], env
        )

    async def _state(self, spec: ServiceSpec) -> tuple[bool, str]:
        # One request at a time: polling slows down the start on a machine with two cores.
        async with self._looking:
            if self._processes.ended(spec.name):
                # Another program may answer on the port of a process that has ended.
                return False, "it has ended"
            host = (
                addresses.local_host(self._options.host)
                if spec.name == PAGE
                else addresses.LOOPBACK
            )
            scheme = self._options.scheme if spec.name == PAGE else "http"
            return await asyncio.to_thread(readiness.fetch_readiness, spec.port, host, scheme)

    def _announce(self, seconds: float) -> None:
        host, port, scheme = self._options.host, self._port(PAGE), self._options.scheme
        address = addresses.display_url(host, port, scheme)
        self._write_state(legacy=False)
        paint = self._console.paint
        self._console.say()
        self._console.say(
            f"  {paint('Ready', 'green')} in {seconds:.1f} s:  {paint(address, 'bold')}   (page; "
            f"API at {address}/docs)"
        )
        if (lan := addresses.lan_urls(host, port, scheme)) is not None:
            self._console.say(f"  In your network:  {lan}")
            if not self._options.https:
                self._console.say(
                    "  A microphone there needs https: `vtuber run --https` (docs/phone.md)"
                )
        if self._certificate is not None:
            self._console.say(
                f"  Certificate of this machine: {self._certificate.certificate}; SHA-256 "
                f"{self._certificate.fingerprint}"
            )
        at = (
            ""
            if address == addresses.display_url(addresses.LOOPBACK, GATEWAY_PORT)
            else f" --url {address}"
        )
        self._console.say(f'  In a terminal:  .venv/bin/vtuber say "hello"{at}')
        for line in provider_summary.run_summary(self._services):
            self._console.say(f"  {line}")
        if (without := models.missing(models.folder(self._options.data))) is not None and any(
            spec.service == "asr" for spec in self._services
        ):
            self._console.say(f"  {without}")
        for note in self._settings.notes:
            self._console.say(f"  {note}")
        self._console.say(
            "  Ctrl-C ends everything; conversations stay in " + str(self._options.data)
        )
        self._console.say()

    def _write_state(self, *, legacy: bool) -> None:
        """Write the state file, atomically; written again when the legacy pipeline is ready."""
        if self._options.state is None:
            return
        state = {
            "url": addresses.url(
                addresses.local_host(self._options.host), self._port(PAGE), self._options.scheme
            ),
            "redis": self._redis_url,
            "ports": {spec.name: spec.port for spec in self._services},
            "pids": self._processes.pids(),
            "legacy": legacy,
        }
        if (problem := state_file.write(self._options.state, state)) is not None:
            self._console.say(problem)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

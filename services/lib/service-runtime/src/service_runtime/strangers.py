"""What is needed around objects that others wrote: plug-ins and vendors' libraries, which may do anything."""

import asyncio
import inspect
from typing import Final

import structlog

log = structlog.get_logger("strangers")

NAME_CHARS: Final = 64
ABOUT_CHARS: Final = 200


def name_of(stranger: object) -> str:
    """Its `name`, or its class's: a label of metrics and logs, so short and never empty."""
    try:
        name = getattr(stranger, "name", None)
    # The border to plug-ins: a property may raise anything.
    except Exception:  # noqa: BLE001
        name = None
    return (name if isinstance(name, str) and name else type(stranger).__name__)[:NAME_CHARS]


def about(stranger: object) -> str:
    """What it says of itself, for people: its model and where it is; nothing where it says nothing."""
    said = getattr(stranger, "about", None)
    return said[:ABOUT_CHARS] if isinstance(said, str) else ""


def asked_to_stop() -> bool:
    """Whether a CancelledError that is handled now was meant for this task; otherwise something that it waited for was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def call_if_there(stranger: object, method: str) -> None:
    """Call a method that a plug-in need not have: not everybody has something to warm or to close."""
    found = getattr(stranger, method, None)
    made = found() if found is not None else None
    if inspect.isawaitable(made):
        await made


async def close_stranger(stream: object, name: str) -> None:
    """Close an iterator that may be no generator; what that raises is logged: what it gave counts, and nobody could do more."""
    close = getattr(stream, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except asyncio.CancelledError:
        if asked_to_stop():
            raise
        log.warning("stream_not_closed", provider=name, error="cancelled within the provider")
    # The border to plug-ins.
    except Exception as error:  # noqa: BLE001
        log.warning("stream_not_closed", provider=name, error=repr(error)[:200])

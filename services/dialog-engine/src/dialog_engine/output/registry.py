"""Connections to all output-handlers, one for each address.

Output-handlers may be scaled while the engine runs. A host name is therefore resolved every second,
and connections are added and removed accordingly. An address that is no longer listed keeps its
connection until it is closed: a terminating output-handler still plays the current reply.

Messages of a session go only to output-handlers that have subscribed to it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import structlog

from dialog_engine.output.connection import OutputConnection, OutputEventHandlers
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("ingest")

REFRESH_INTERVAL_S: Final = 1.0
"""Interval of name resolution in seconds; the DNS cache may delay a new address further."""

Resolve = Callable[[str, int], Awaitable[set[str]]]


async def resolve_all(host: str, port: int) -> set[str]:
    """Return all addresses of a name, of one address family. Raises OSError.

    With both families each pod would be listed twice.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family = min(entry[0] for entry in found)
    return {str(entry[4][0]) for entry in found if entry[0] == family}


class OutputHandlers:
    """Connects to all output-handlers.

    A URL with an IP address or `localhost` is one output-handler. Any other host name, for example
    that of a headless Service, stands for all its addresses.
    """

    def __init__(
        self, urls: Sequence[str], hooks: OutputEventHandlers, *, resolve: Resolve = resolve_all
    ) -> None:
        self._urls, self._handlers, self._resolve = urls, hooks, resolve
        self._connections: dict[str, OutputConnection] = {}
        self._unresolved: set[str] = set()

    @property
    def connections(self) -> list[OutputConnection]:
        """One connection for each known output-handler, whether or not it is connected."""
        return list(self._connections.values())

    def start(self, tasks: BackgroundTasks) -> None:
        """Begin to resolve names and to connect."""
        for url in self._urls:
            if _is_single_address(urlsplit(url).hostname or ""):
                self._add(url, tasks)
            else:
                tasks.run_forever(
                    f"outputs {url}",
                    partial(self._refresh, url, tasks),
                    pause_s=REFRESH_INTERVAL_S,
                    pause_max_s=REFRESH_INTERVAL_S,
                )

    def publish(self, session_id: str, frame: str, *, droppable: bool = False) -> None:
        """Send a message to every output-handler that has viewers of the session."""
        for link in self._connections.values():
            if session_id in link.sessions:
                link.send(frame, droppable=droppable)

    def has_viewers(self, session_id: str) -> bool:
        """Whether any output-handler has viewers of the session."""
        return any(session_id in link.sessions for link in self._connections.values())

    async def _refresh(self, url: str, tasks: BackgroundTasks) -> None:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        try:
            found = await self._resolve(parts.hostname or "", port)
        except OSError as error:
            # A name without a ready output-handler has no address. Log it once and keep trying.
            if url not in self._unresolved:
                log.info("output_handlers_not_found", url=url, reason=str(error))
                self._unresolved.add(url)
            return
        self._unresolved.discard(url)
        named = {_with_address(url, address, port) for address in found}
        for new in named - self._connections.keys():
            self._add(new, tasks)
        mine = {
            link
            for link in self._connections
            if urlsplit(link).path == parts.path and not self._is_fixed(link)
        }
        for gone in mine - named:
            # A connected one is terminating and still plays the current reply.
            if not self._connections[gone].connected:
                del self._connections[gone]

    def _is_fixed(self, link: str) -> bool:
        return link in self._urls

    def _add(self, url: str, tasks: BackgroundTasks) -> None:
        link = self._connections[url] = OutputConnection(url, self._handlers)
        tasks.run_forever(
            f"ingest {url}",
            link.run,
            pause_s=0.1,
            pause_max_s=2.0,
            wanted=lambda: self._connections.get(url) is link,
        )


def _is_single_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _with_address(url: str, address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return urlunsplit(urlsplit(url)._replace(netloc=f"{host}:{port}"))

"""Bounds connections without a whole request, for each client address and in total.

A client is not refused because of idle connections of others: a new connection replaces the one
that has waited longest. A client that sends its request at once is never the oldest, so a flood of
silent or slow connections only replaces itself.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from dialog_telemetry import metrics
from service_runtime.http import bounds
from service_runtime.http.log_rate_limit import LogRateLimit

NETWORK_BITS: Final = 64
"""Prefix length by which IPv6 clients are counted: one machine has all addresses of its network."""


class WaitingConnection(Protocol):
    """A connection that can be asked to close."""

    def give_way(self) -> None:
        """Close in favour of a new connection."""
        ...


class Connections:
    """The waiting connections of a process.

    A connection calls `start_waiting` and `start_request` as its state changes, and `ended` when it
    closes in either state. `each_address` says whether clients are distinguished by their
    addresses; where all of them come through one proxy, they are not.
    """

    def __init__(self, *, each_address: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_address, self._clock = each_address, clock
        self.refusals = LogRateLimit(clock)
        """Rate limit of log lines about refused messages."""
        self._all: OrderedDict[WaitingConnection, tuple[str, bool]] = OrderedDict()
        self._by_client: dict[tuple[str, bool], OrderedDict[WaitingConnection, float]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def start_waiting(
        self, connection: WaitingConnection, address: str, *, kept: bool = False
    ) -> None:
        """Register a connection without a whole request.

        One that is registered already stays unchanged.

        With `kept` it has had requests and may send more.
        """
        if connection in self._all:
            return
        client = (client_of(address), kept)
        self._all[connection] = client
        own = self._by_client.setdefault(client, OrderedDict())
        now = own[connection] = self._clock()
        if self._per_address and self._too_many(own, kept=kept, now=now):
            self._replace(next(iter(own)), "address")
        elif len(self._all) > bounds.MAX_WAITING:
            self._replace(next(iter(self._all)), "all")

    def start_request(self, connection: WaitingConnection) -> None:
        """Remove a connection that has a whole request or became a WebSocket."""
        client = self._all.pop(connection, None)
        if client is None:
            return
        own = self._by_client[client]
        del own[connection]
        if not own:
            del self._by_client[client]

    ended = start_request

    @staticmethod
    def _too_many(own: "OrderedDict[WaitingConnection, float]", *, kept: bool, now: float) -> bool:
        if kept:
            return len(own) > bounds.MAX_IDLE_PER_ADDRESS
        oldest = next(iter(own.values()))
        limit = (
            bounds.MAX_WAITING_PER_ADDRESS
            if now - oldest > bounds.MIN_WAIT_S
            else bounds.MAX_CONNECTING_PER_ADDRESS
        )
        return len(own) > limit

    def _replace(self, connection: WaitingConnection, limit: str) -> None:
        self.start_request(connection)
        metrics.CONNECTIONS_REPLACED.labels(limit=limit).inc()
        connection.give_way()


def client_of(address: str) -> str:
    """Return the client that an address counts for: the address, or its network for IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, NETWORK_BITS), strict=False))
    return str(parsed)

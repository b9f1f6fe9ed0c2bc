"""Who may come in, and how often: the Origin list and a bucket of tokens per client address."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from gateway.errors import OriginRefused, RateLimited

ADDRESSES_REMEMBERED: Final = 10_000


class Doorkeeper:
    """Checked once per request or socket. Clients that send no Origin (curl, the vtuber command) are not browsers and pass."""

    def __init__(
        self,
        allowed_origins: Sequence[str],
        *,
        a_second: float,
        at_once: int,
        sockets: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = frozenset(allowed_origins)
        self._a_second, self._at_once, self._sockets_max = a_second, at_once, sockets
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._sockets: dict[str, int] = {}

    def check_origin(self, origin: str | None, host: str | None) -> None:
        """Raises OriginRefused unless the page is ours (same host and port) or on the list, exactly."""
        if origin is None or origin in self._allowed:
            return
        with suppress(ValueError):  # urlsplit refuses some malformed addresses
            parts = urlsplit(origin)
            if parts.scheme in ("http", "https") and host and parts.netloc.lower() == host.lower():
                return
        raise OriginRefused(f"pages of {origin[:100]!r} may not connect; see ALLOWED_ORIGINS", field="Origin")

    def take_token(self, address: str) -> None:
        """Raises RateLimited with the seconds to wait."""
        now = self._clock()
        tokens, at = self._buckets.get(address, (float(self._at_once), now))
        tokens = min(float(self._at_once), tokens + (now - at) * self._a_second)
        if tokens < 1:
            self._buckets[address] = (tokens, now)
            raise RateLimited(
                f"more than {self._a_second:g} requests a second from this address",
                limit=round(self._a_second),
                retry_after_s=(1 - tokens) / self._a_second,
            )
        self._buckets[address] = (tokens - 1, now)
        self._buckets.move_to_end(address)
        while len(self._buckets) > ADDRESSES_REMEMBERED:
            self._buckets.popitem(last=False)

    def socket_opened(self, address: str) -> None:
        """Raises RateLimited when the address has too many open sockets."""
        if self._sockets.get(address, 0) >= self._sockets_max:
            raise RateLimited(
                f"{self._sockets_max} open sockets is the limit of an address", limit=self._sockets_max, retry_after_s=5
            )
        self._sockets[address] = self._sockets.get(address, 0) + 1

    def socket_closed(self, address: str) -> None:
        """The counterpart of `socket_opened`."""
        self._sockets[address] -= 1
        if not self._sockets[address]:
            del self._sockets[address]

"""Limits per client address: token buckets for requests, and a count of open sockets."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.errors import RateLimited

MAX_REMEMBERED_ADDRESSES: Final = 10_000
FILE_COST: Final = 0.1
"""Tokens per file of the page, which loads fifty of them."""

FLOOD_COST: Final = 10.0
"""Tokens charged for a connection that had to be closed for flooding.

A client that reconnects at once is soon rejected.
"""


class TokenBuckets:
    """One bucket per address: `a_second` tokens are added per second, up to `at_once`."""

    def __init__(
        self, a_second: float, at_once: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = a_second, at_once, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def acquire(self, address: str, tokens: float = 1.0) -> None:
        """Take tokens; raises RateLimited with the seconds to wait."""
        left, now = self._left(address)
        if left < tokens:
            self._set(address, left, now)
            raise RateLimited(
                f"more than {self._rate:g} requests a second from this address",
                limit=round(self._rate),
                retry_after_s=(tokens - left) / self._rate,
            )
        self._set(address, left - tokens, now)

    def charge(self, address: str, tokens: float) -> None:
        """Take tokens even if they are missing; the debt is at most the size of the bucket."""
        left, now = self._left(address)
        self._set(address, max(left - tokens, -float(self._burst)), now)

    def _left(self, address: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._buckets.get(address, (float(self._burst), now))
        return min(float(self._burst), left + (now - at) * self._rate), now

    def _set(self, address: str, left: float, now: float) -> None:
        self._buckets[address] = (left, now)
        self._buckets.move_to_end(address)
        while len(self._buckets) > MAX_REMEMBERED_ADDRESSES:
            self._buckets.popitem(last=False)


class AdmissionControl:
    """Turns, STOPs and sockets cost a token.

    Reads have buckets of their own, so that loading a page does not keep a user from talking.
    """

    def __init__(
        self,
        *,
        a_second: float,
        at_once: int,
        sockets: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = TokenBuckets(a_second, at_once, clock)
        self._reads = TokenBuckets(a_second, at_once, clock)
        self._sockets_max = sockets
        self._sockets: dict[str, int] = {}

    def acquire_request(self, address: str) -> None:
        """Admit a turn or a STOP; raises RateLimited."""
        self._requests.acquire(address)

    def acquire_read(self, address: str, *, file: bool = False) -> None:
        """Admit a read of history, a probe or a file of the page; raises RateLimited."""
        self._reads.acquire(address, FILE_COST if file else 1.0)

    def open_socket(self, address: str) -> None:
        """Admit a socket; raises RateLimited, also when the address has too many open sockets."""
        self._requests.acquire(address)
        if self._sockets.get(address, 0) >= self._sockets_max:
            raise RateLimited(
                f"{self._sockets_max} open sockets is the limit of an address",
                limit=self._sockets_max,
                retry_after_s=5,
            )
        self._sockets[address] = self._sockets.get(address, 0) + 1

    def socket_closed(self, address: str, *, flooded: bool = False) -> None:
        """Count a socket of `open_socket` as closed. `flooded`: it was closed for flooding."""
        if flooded:
            self._requests.charge(address, FLOOD_COST)
        self._sockets[address] -= 1
        if not self._sockets[address]:
            del self._sockets[address]

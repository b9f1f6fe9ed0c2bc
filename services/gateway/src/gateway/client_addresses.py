"""Address of the client of a request: the peer, or the one that a trusted proxy reports."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from service_runtime.http.connections import client_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """`trusted` are networks of proxies whose `X-Forwarded-For` is used.

    From any other peer the header may contain anything.
    """

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """Return the client as limits count it, or an empty string without one.

        It is an IPv4 address, or the network of an IPv6 address.
        """
        peer = str(scope["client"][0]) if scope.get("client") else ""
        if not self._is_trusted(peer):
            return client_of(peer)
        said = b",".join(
            value for name, value in scope["headers"] if name == b"x-forwarded-for"
        ).decode("latin-1")
        # From the right: entries left of the last trusted proxy were written by the client.
        for address in reversed([part.strip() for part in said.split(",") if part.strip()]):
            if not self._is_trusted(address):
                return client_of(address[:64])
        return client_of(peer)

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(
            parsed.version == network.version and parsed in network for network in self._trusted
        )

"""Whose request it is: the address it comes from, or the one that a proxy of ours says it comes from."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from service_runtime.http.connections import client_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """`trusted`: networks of proxies whose `X-Forwarded-For` is believed. Anybody else could write there what he likes."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """The client, as limits count it: an IPv4 address, or the network of an IPv6 address; empty where there is none."""
        peer = str(scope["client"][0]) if scope.get("client") else ""
        if not self._is_trusted(peer):
            return client_of(peer)
        said = b",".join(
            value for name, value in scope["headers"] if name == b"x-forwarded-for"
        ).decode("latin-1")
        # From the right: what is left of the last proxy of ours was written by the client.
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

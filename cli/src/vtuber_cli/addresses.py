"""Addresses of the page: where it listens, and its URLs on this machine and in the network."""

import socket
import ssl
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_WILDCARDS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 -- compared with, not listened on


def local_host(host: str) -> str:
    """Return the address by which this machine reaches a server that listens on `host`."""
    return _WILDCARDS.get(host, host)


def url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL; an IPv6 address gets brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def display_url(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL to open on this machine."""
    found = local_host(host)
    return url("localhost" if found == LOOPBACK else found, port, scheme)


def lan_urls(host: str, port: int, scheme: str = "http") -> str | None:
    """Return the URL for other machines in the network.

    None if the page listens on loopback only, or if there is no network.
    """
    if host in _WILDCARDS:
        found = of_this_machine()
        return None if found is None else url(found, port, scheme)
    return (
        None
        if host == "localhost" or host.startswith("127.") or host == "::1"
        else url(host, port, scheme)
    )


def unverified_tls() -> ssl.SSLContext:
    """Return a TLS context for connections within this machine, which verifies no certificate.

    The page's certificate is self-signed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def of_this_machine() -> str | None:
    """Return the address of the interface with the default route, or None. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # An address reserved for documentation: connecting UDP only looks up the route.
            probe.connect(("192.0.2.1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if found.startswith("127.") else found


def choices() -> str:
    """Return the addresses that the page can listen on, as part of a sentence."""
    own = of_this_machine()
    return "127.0.0.1 or ::1 (only this machine), 0.0.0.0 (all of its addresses)" + (
        f", {own}" if own else ""
    )

"""Where the page listens, where it is found from this machine and from others, and how that is written."""

import socket
import ssl
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_WILDCARDS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 -- compared with, not listened on


def local_host(host: str) -> str:
    """By which address this machine finds what listens on `host`."""
    return _WILDCARDS.get(host, host)


def url(host: str, port: int, scheme: str = "http") -> str:
    """With brackets around an IPv6 address."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def display_url(host: str, port: int, scheme: str = "http") -> str:
    """As a person on this machine types it."""
    found = local_host(host)
    return url("localhost" if found == LOOPBACK else found, port, scheme)


def lan_urls(host: str, port: int, scheme: str = "http") -> str | None:
    """As somebody in the same network types it; None where it does not listen there, or there is no network."""
    if host in _WILDCARDS:
        found = of_this_machine()
        return None if found is None else url(found, port, scheme)
    return (
        None
        if host == "localhost" or host.startswith("127.") or host == "::1"
        else url(host, port, scheme)
    )


def interface_addresses() -> ssl.SSLContext:
    """For calls that do not leave this machine: its page's certificate is our own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def of_this_machine() -> str | None:
    """The address by which this machine goes out. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A documentation address: nobody is there, and only the way to it is looked up.
            probe.connect(("192.0.2.1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if found.startswith("127.") else found


def choices() -> str:
    """What may be listened on here, for a sentence."""
    own = of_this_machine()
    return "127.0.0.1 or ::1 (only this machine), 0.0.0.0 (all of its addresses)" + (
        f", {own}" if own else ""
    )

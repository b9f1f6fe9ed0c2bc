"""Choice of the HTTP proxy for a URL.

Near hosts never use one. Other hosts use the proxy of a setting, or else that of the environment,
except for those in NO_PROXY.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

NONE: Final = "none"
_NEAR_ENDS: Final = (".localhost", ".svc", ".cluster.local")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The configured proxies.

    `chosen` is a setting's proxy for everything that is not near; `none` means no proxy at all. The
    other fields have the values of the environment's variables.
    """

    chosen: str | None = None
    http: str | None = None
    https: str | None = None
    every: str | None = None
    no: str = ""

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy, or None for a direct connection."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        secure = parts.scheme in ("https", "wss")
        if is_near(host) or self._is_excepted(host, parts.port or (443 if secure else 80)):
            return None
        if self.chosen:
            return None if self.chosen.lower() == NONE else self.chosen
        found = (self.https if secure else self.http) or self.every
        return (found if "://" in found else f"http://{found}") if found else None

    def _is_excepted(self, host: str, port: int) -> bool:
        return any(
            _covers(entry.strip().lower(), host, port)
            for entry in self.no.split(",")
            if entry.strip()
        )


def is_near(host: str) -> bool:
    """Return whether a host is in the local network, where a proxy could not reach it.

    That is this machine, a name without a dot, or a Service of the cluster.
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return "." not in host or host.endswith(_NEAR_ENDS)


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY covers the host.

    An entry is `*`, a name or a suffix of one, an address or a network; each but the first may have
    a port.
    """
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except (ValueError, TypeError):
        pass
    name, colon, wanted = entry.rpartition(":")
    if (
        colon
        and wanted.isdigit()
        and "]" not in wanted
        and (name.count(":") == 0 or name.endswith("]"))
    ):
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    entry = entry.removeprefix("*").removeprefix(".")
    return host == entry or host.endswith("." + entry)

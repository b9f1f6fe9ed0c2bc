"""Which HTTP proxy an address is reached by: never one for what is near, else a setting's or the environment's, but for NO_PROXY. Pure."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

NONE: Final = "none"
_NEAR_ENDS: Final = (".localhost", ".svc", ".cluster.local")


@dataclass(frozen=True, slots=True)
class Proxies:
    """`chosen`: by a setting, for everything that is not near; `none` for no proxy at all. The others are as in the environment."""

    chosen: str | None = None
    http: str | None = None
    https: str | None = None
    every: str | None = None
    no: str = ""

    def proxy_for(self, url: str) -> str | None:
        """The proxy's address; None where it is reached without."""
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
    """Whether a proxy could not reach it: this machine, a single name as in one's own network, a Service of the cluster."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return "." not in host or host.endswith(_NEAR_ENDS)


def _covers(entry: str, host: str, port: int) -> bool:
    """An entry of NO_PROXY: `*`, a name or the end of one, an address, a network; each but the first may have a port."""
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

"""Rules for the destinations of a session's own `baseUrl`.

The author of a session is not the operator of the cluster: an address of theirs must not reach what
only this pod can reach. The services' own addresses are configured by the operator and are not
checked here.

A check of the name alone would not hold, because a name may resolve to another address a moment
later. So the name is resolved here, every address is checked, and the connection is made to the
checked address. `guard` installs this in a vendor's HTTP client; a client behind a proxy is checked
before each request instead.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from dialog_providers.proxies import is_near

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

SETTING: Final = "SESSION_EGRESS_ALLOW"
KINDS: Final = ("loopback", "private", "cluster", "any")

_NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        # Metadata services outside of the link-local range: Alibaba, Azure, Oracle, AWS over IPv6.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
    )
)
_NEVER_NAMES: Final = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
_EMBEDDING: Final[tuple[tuple[Network, int], ...]] = (
    # Networks whose addresses embed an IPv4 address, and the number of bits after it: NAT64 (two
    # prefixes), 6to4, IPv4-compatible.
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("64:ff9b:1::/48"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
    (ipaddress.ip_network("::/96"), 0),
)


class EgressRefused(OSError):
    """The destination is not allowed.

    The message names the destination and the setting that would allow it, if there is one.
    """


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What is allowed beside public addresses: kinds, networks and names.

    A name may have a port.
    """

    kinds: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    names: tuple[tuple[str, int | None], ...] = ()
    resolve: Resolve | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, entries: Sequence[str]) -> "EgressRules":
        """Parse the entries of the setting; raises ValueError.

        An entry is `loopback`, `private`, `cluster` (private addresses under a Service's name),
        `any`, a network or an address, or a name that may have a port: `10.1.0.0/16`,
        `ollama.llm.svc`, `*.llm.svc:11434`.
        """
        kinds, networks, names = set(), [], []
        for entry in entries:
            if entry in KINDS or entry == "*":
                kinds.add("any" if entry == "*" else entry)
                continue
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                host, port = _split(entry)
                names.append((host, port))
        return cls(frozenset(kinds), tuple(networks), tuple(names))

    async def check(self, url: str) -> None:
        """Check a URL that a proxy will connect to; raises EgressRefused.

        The host is checked as written, and by the addresses it resolves to here, if it resolves at
        all.
        """
        host, port = self._check_letters(url)
        try:
            await self.addresses(host, port)
        except EgressRefused:
            raise
        except OSError:
            # Behind such proxies names of the outside often do not resolve; the proxy decides where
            # they lead.
            return

    def _check_letters(self, url: str) -> tuple[str, int]:
        parts = urlsplit(url)
        try:
            host, port = (
                parts.hostname or "",
                parts.port or (443 if parts.scheme == "https" else 80),
            )
        except ValueError as error:
            raise EgressRefused(f"a session's baseUrl cannot be read: {error}") from error
        self._check_name(host)
        try:
            literal = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return host, port
        self._check(literal, host, port)
        return host, port

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return all addresses of a host, each of which is allowed.

        Raises EgressRefused, and OSError for a name that does not resolve.
        """
        self._check_name(host)
        found = await (self.resolve or _resolved)(host, port)
        for each in found:
            self._check(ipaddress.ip_address(each.partition("%")[0]), host, port)
        return found

    def _check_name(self, host: str) -> None:
        if host.rstrip(".").lower() in _NEVER_NAMES:
            raise EgressRefused(
                f"a session's baseUrl leads to {host}, a metadata service: never allowed"
            )

    def _check(self, address: Address, host: str, port: int) -> None:
        for each in _embedded_address(address):
            if any(each in network for network in _NEVER if network.version == each.version):
                raise EgressRefused(
                    f"a session's baseUrl leads to {_describe(host, each)}, a link-local, metadata or reserved address: never allowed"
                )
            if not (_is_public(each) or self._is_allowed(each, host, port)):
                kind = "loopback" if each.is_loopback else "private"
                raise EgressRefused(
                    f"a session's baseUrl leads to {_describe(host, each)}, a {kind} address; {SETTING}={kind} or {host}:{port} allows it"
                )

    def _is_allowed(self, address: Address, host: str, port: int) -> bool:
        if "any" in self.kinds or ("loopback" if address.is_loopback else "private") in self.kinds:
            return True
        if "cluster" in self.kinds and is_near(host) and not address.is_loopback:
            return True
        if any(
            address in network for network in self.networks if network.version == address.version
        ):
            return True
        name = host.rstrip(".").lower()
        return any(
            _matches(name, pattern) and wanted in (None, port) for pattern, wanted in self.names
        )


class GuardedBackend:
    """A network backend of httpcore or httpcore2 that connects only to allowed addresses.

    It resolves names itself and never passes a name on.
    """

    def __init__(self, inner: Any, rules: EgressRules) -> None:
        self._inner, self._rules = inner, rules

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
        """Connect to the first address that answers.

        Raises EgressRefused and what the backend raises.
        """
        addresses = await self._rules.addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, *args, **options)
            # The libraries have their own exceptions; the failure of the last address is raised.
            except Exception:  # noqa: BLE001, S112
                continue
        return await self._inner.connect_tcp(addresses[-1], port, *args, **options)

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> Any:
        """Raise EgressRefused: no address of a session is a file."""
        raise EgressRefused("a session's baseUrl leads to a file")

    async def sleep(self, seconds: float) -> None:
        """Sleep, as httpcore's interface requires."""
        await self._inner.sleep(seconds)


def guard(client: Any, rules: EgressRules, *, proxied: bool) -> None:
    """Make a client of httpx or httpx2 follow the rules.

    Neither library has a parameter for a backend, so a private attribute is replaced; a test
    reports when it has moved. A client with a proxy connects to the proxy, so there the addresses
    are checked before each request.
    """
    if proxied:

        async def look(request: Any) -> None:
            await rules.check(str(request.url))

        client.event_hooks = {
            **client.event_hooks,
            "request": [*client.event_hooks["request"], look],
        }
        return
    pool = client._transport._pool
    pool._network_backend = GuardedBackend(pool._network_backend, rules)


def refusal_in(error: BaseException | None) -> EgressRefused | None:
    """Return the EgressRefused among an error's causes, or None."""
    for _ in range(10):
        if error is None or isinstance(error, EgressRefused):
            return error
        error = error.__cause__ or error.__context__
    return None


async def _resolved(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host[:100]!r} is no name") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses


def _embedded_address(address: Address) -> list[Address]:
    """Return the address, or the IPv4 addresses that it embeds."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.teredo is not None:
        return list(address.teredo)
    if not address.is_loopback and not address.is_unspecified:
        for network, bits in _EMBEDDING:
            if address in network:
                return [ipaddress.IPv4Address(int(address) >> bits & 0xFFFF_FFFF)]
    return [address]


def _is_public(address: Address) -> bool:
    return address.is_global and not (
        isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    )


def _describe(host: str, address: Address) -> str:
    return host if host == str(address) else f"{host} ({address})"


def _split(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        host, port = entry, ""
    name = host.strip("[]").rstrip(".").lower()
    plain = name.removeprefix("*.")
    if (
        not plain
        or not all(char.isalnum() or char in "-._:" for char in plain)
        or (colon and not port.isdigit())
    ):
        raise ValueError(
            f"{SETTING}: {entry!r} is none of {', '.join(KINDS)}, a network (10.0.0.0/8), or a name (ollama.llm.svc:11434)"
        )
    return name, int(port) if port else None


def _matches(name: str, pattern: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern

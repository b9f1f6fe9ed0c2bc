"""The Host names that a service accepts, against DNS rebinding.

After a foreign page was loaded, its server can point the page's own name at this machine. Its
requests then look like those of our page, except that their Host header carries the foreign name.
An IP address cannot be redirected in this way, so requests to an IP address are always accepted,
and so are names that only this machine or this cluster can have.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service_runtime.http.errors import Refused, ServiceError, respond

CLUSTER_SUFFIXES: Final = (".svc", ".cluster.local")
"""Names with these suffixes resolve within this cluster."""


_HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~%-]+)?)\]|(?P<name>[^\[\]:@/%\s,]*))(?::[0-9]{0,5})?"
)


class HostRefused(Refused):
    """The Host header names a host that is not ours."""

    default_code = "host_refused"


class OriginRefused(Refused):
    """The Origin header names a page of another site."""

    default_code = "origin_refused"


class AllowedHosts:
    """The accepted hosts and origins.

    `names` are accepted in addition to the machine's own names; `*.example.org` means every name
    below it. `origins` are pages of other sites, compared exactly. `inside` is for a service that
    is not public: services call each other by names without a dot and by a cluster's names.
    """

    def __init__(
        self, names: Iterable[str] = (), origins: Iterable[str] = (), *, inside: bool = False
    ) -> None:
        own = socket.gethostname().lower()
        own_names = {"localhost", own, own.partition(".")[0], own.partition(".")[0] + ".local"}
        given = {_plain(name) for name in names}
        self._names = own_names | {name for name in given if not name.startswith("*.")}
        below = {name[1:] for name in given if name.startswith("*.")}
        self._suffixes = (".localhost", *(CLUSTER_SUFFIXES if inside else ()), *below)
        self._origins, self._inside = frozenset(origins), inside

    def check(self, host: str | None, origin: str | None) -> None:
        """Check the headers of one request; raises HostRefused or OriginRefused."""
        name = _name_of(host)
        if not name:
            raise HostRefused(
                "a request needs one Host header with a name or an address", field="Host"
            )
        if not self._is_allowed(name):
            setting = (
                "ALLOWED_HOSTS"
                if self._inside
                else "ALLOWED_HOSTS (in the chart: gateway.allowedHosts)"
            )
            raise HostRefused(
                f"{name[:100]!r} is no name of this service; {setting} can add it", field="Host"
            )
        if origin is None or origin in self._origins:
            return
        # Clients without an Origin header (curl, the vtuber command) are not browsers. The origin
        # of a page of ours is the host that it calls.
        if host and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower()):
            return
        raise OriginRefused(
            f"pages of {origin[:100]!r} may not call; ALLOWED_ORIGINS can add them", field="Origin"
        )

    def _is_allowed(self, name: str) -> bool:
        return (
            _is_address(name)
            or name in self._names
            or name.endswith(self._suffixes)
            or (self._inside and "." not in name and ":" not in name)
        )


class HostGuard:
    """ASGI middleware that checks HTTP requests and WebSocket handshakes."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request or handshake."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        try:
            # With two Host headers, programs disagree on which one counts.
            self._hosts.check(
                hosts[0] if len(hosts) == 1 else None, ", ".join(origins) if origins else None
            )
        except Refused as error:
            await denied(error, scope, receive, send)
            return
        await self._app(scope, receive, send)


async def denied(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request or a WebSocket handshake with an error."""
    answer: Response = respond(error)
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": answer.status_code,
            "headers": answer.raw_headers,
        }
    )
    await send(
        {"type": "websocket.http.response.body", "body": json.dumps(error.body.to_wire()).encode()}
    )


def _plain(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _name_of(host: str | None) -> str:
    """Return the name or address in `name:port`, `1.2.3.4` or `[::1]:8000`, or an empty string."""
    parts = _HOST.fullmatch(host or "")
    return _plain(parts["address"] or parts["name"] or "") if parts else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""Who may use the endpoints for administrators: this machine, and callers with ADMIN_TOKEN.

A request through a proxy is never local, even if the proxy is: the proxy's headers show it. Tokens
are compared in constant time.
"""

import hmac
import ipaddress
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request

from gateway.errors import AdminOnly

PROXY_HEADERS: Final = ("x-forwarded-for", "x-real-ip", "forwarded", "via")


class AdminAccess:
    """Checks requests. `token` is ADMIN_TOKEN; None: only this machine may."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    def require(self, request: Request) -> None:
        """Raise AdminOnly unless the caller is on this machine or has the token."""
        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._token is not None:
            expected = self._token.get_secret_value().encode()
            if hmac.compare_digest(said.strip().encode("utf-8", "surrogateescape"), expected):
                return
            raise AdminOnly("Authorization: this is not ADMIN_TOKEN", field="Authorization")
        proxied = any(name in request.headers for name in PROXY_HEADERS)
        if proxied or not _is_local(request):
            raise AdminOnly(
                "only this machine, or a caller with ADMIN_TOKEN as bearer token, may do this",
                field="Authorization",
            )


def _is_local(request: Request) -> bool:
    try:
        peer = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    return (mapped or peer).is_loopback

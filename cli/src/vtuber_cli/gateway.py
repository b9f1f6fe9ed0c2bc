"""Connections of the commands to the gateway, and the message when it does not answer."""

import ipaddress
import ssl
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from vtuber_cli import addresses
from vtuber_cli.settings import GATEWAY_PORT


def address(text: str) -> str:
    """Return the gateway's URL for what the user wrote, with or without a scheme.

    Raises ValueError.
    """
    written = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        parts = urlsplit(written)
        host = parts.hostname or ""
        complete = (
            parts.scheme in ("http", "https") and bool(host) and " " not in host and parts.port != 0
        )
        complete = complete and not (parts.path or parts.query or parts.fragment)
    except ValueError:
        complete = False
    if not complete:
        raise ValueError(
            f"{text!r} is not an address of a gateway; write one like "
            f"http://127.0.0.1:{GATEWAY_PORT}"
        )
    return written


def trust(url: str) -> ssl.SSLContext | None:
    """Return the TLS context for `url`, or None for http.

    On this machine no certificate is verified.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    return (
        addresses.unverified_tls()
        if _is_loopback(parts.hostname or "")
        else ssl.create_default_context()
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class GatewayUnreachable(Exception):
    """The message is a sentence that says what to do."""


def socket(url: str, path: str, subprotocol: str) -> connect:
    """Return a WebSocket connection to enter; `url` is http or https."""
    address = f"ws{url.removeprefix('http')}{path}"
    return connect(
        address,
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        proxy=None,
        open_timeout=5,
        close_timeout=1,
        ssl=trust(url),
    )


def unreachable_message(url: str, error: Exception) -> str:
    """Return the message for a connection that failed or was lost."""
    return f"no answer from {url} ({type(error).__name__}). Is it running? `make run`"

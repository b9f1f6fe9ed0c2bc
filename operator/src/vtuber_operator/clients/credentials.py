"""Credentials for the API server, and HTTP sessions whose responses can be observed."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp
import kopf
import yaml

from vtuber_operator.errors import Unreachable

OnAnswer = Callable[[str, int, bool], None]

LONG_LIVED: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
"""Watches stay open, so only connecting has a timeout."""

_UNREADABLE: Final = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    yaml.YAMLError,
    kopf.LoginError,
)
"""What kopf raises for a kubeconfig that is missing, no YAML, or of another shape."""


def credentials() -> kopf.ConnectionInfo:
    """Return the credentials of the pod's service account, or of a kubeconfig.

    They are read at each call, because a projected token is replaced every hour. Raises Unreachable
    when there are none, or when they cannot be read; the error names a file, never its content.
    """
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
            settings=settings
        )
    except _UNREADABLE as error:
        why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else "not valid"
        raise Unreachable(f"credentials cannot be read ({type(error).__name__}: {why})") from None
    if found is None:
        raise Unreachable(
            "found neither a service account nor a kubeconfig (KUBECONFIG, ~/.kube/config)"
        )
    return found


def _observe(on_answer: OnAnswer) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def answered(
        _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        on_answer(params.url.path, params.response.status, "watch" in params.url.query)

    trace.on_request_end.append(answered)
    return trace


def open_session(
    info: kopf.ConnectionInfo, on_answer: OnAnswer | None = None
) -> aiohttp.ClientSession:
    """A session of the calling event loop.

    `on_answer(path, status, is_watch)` is called for every response: kopf does not report how its
    watches fare.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers={**info.as_http_headers(), "User-Agent": "vtuber-operator"},
        timeout=LONG_LIVED,
        trace_configs=[_observe(on_answer)] if on_answer is not None else None,
    )

"""Credentials of the API server: the pod's service account, or a kubeconfig.

It also opens the HTTP session with deadlines and tracing of requests.
"""

from types import SimpleNamespace
from typing import Final

import aiohttp
import kopf

from vtuber_operator.errors import Unreachable
from vtuber_operator.observe.watch_health import WatchHealth

LONG_LIVED: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)


def credentials() -> kopf.ConnectionInfo:
    """Return the credentials, read again at each call; raises Unreachable when there are none.

    A projected token is replaced every hour.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
        settings=settings
    )
    if found is None:
        raise Unreachable(
            "neither a service account nor a kubeconfig (KUBECONFIG, ~/.kube/config) is there"
        )
    return found


def _observe(progress: WatchHealth) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def answered(
        _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        progress.answered(
            params.url.path, params.response.status, watch="watch" in params.url.query
        )

    trace.on_request_end.append(answered)
    return trace


def open_session(
    info: kopf.ConnectionInfo, progress: WatchHealth | None = None
) -> aiohttp.ClientSession:
    """Return a session for the calling event loop.

    With `progress`, it is notified of every reply, since kopf does not report the state of watches.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers={**info.as_http_headers(), "User-Agent": "vtuber-operator"},
        timeout=LONG_LIVED,
        trace_configs=[_observe(progress)] if progress is not None else None,
    )

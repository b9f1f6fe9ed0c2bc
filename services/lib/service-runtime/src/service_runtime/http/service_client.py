"""HTTP client for one of our own services.

Connections are kept between calls. An address may belong to another server for a moment: a Service
that a node does not know yet, or the address of a pod that has just ended. That server may keep the
connection open for good, and an ordinary pool would continue to use it long after the address is
correct.

ServiceClient therefore checks the content type of every response. On one that our services never
send, it raises UnexpectedUpstream and uses a new set of connections from then on. The old set is
closed only later, because it may still carry turns.
"""

import asyncio
from collections import deque
from typing import Final

import aiohttp
import structlog

from dialog_contracts.backup import BACKUP_TYPE
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("service_client")

CONNECT_TIMEOUT_S: Final = 2.0
READY_TIMEOUT_S: Final = 2.0
KEEPALIVE_S: Final = 60.0
DNS_TTL_S: Final = 2
"""Seconds for which an address is cached: a pod returns under its name with another address."""

MAX_RETIRED: Final = 32
"""Number of retired connection sets that are kept open, since they may still carry a turn."""

OUR_CONTENT_TYPES: Final = frozenset(("application/json", "text/event-stream", BACKUP_TYPE))
"""Content types of our services' responses, errors included."""


class UnexpectedUpstream(aiohttp.ClientError):
    """The server at the address is not our service."""


class ServiceClient:
    """Client of the service at `url`, which has no path.

    `connections_max` 0 means no limit. A response that sends nothing for `silent_s` seconds is an
    error.
    """

    def __init__(
        self, url: str, *, connections_max: int = 0, silent_s: float | None = None
    ) -> None:
        self._url, self._connections_max, self._idle_timeout_s = (
            url.rstrip("/"),
            connections_max,
            silent_s,
        )
        self._http: aiohttp.ClientSession | None = None
        self._retired: deque[aiohttp.ClientSession] = deque()
        self._tasks = BackgroundTasks()

    async def open(self) -> None:
        """Create the connection pool."""
        self._http = self._begin()

    async def aclose(self) -> None:
        """Close all connections."""
        for http in (*self._retired, self._http):
            if http is not None:
                await http.close()
        await self._tasks.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """Return the response as soon as its head has arrived; the caller closes it.

        Raises aiohttp.ClientError, of which UnexpectedUpstream is one, and OSError.
        """
        assert self._http is not None
        http = self._http
        answer = await http.request(method, self._url + path, data=body, headers=headers)
        if answer.content_type in OUR_CONTENT_TYPES:
            return answer
        answer.close()
        self._retire(http)
        metrics.UNEXPECTED_UPSTREAMS.inc()
        log.warning(
            "unexpected_upstream",
            url=self._url,
            path=path,
            status=answer.status,
            content_type=answer.content_type,
        )
        raise UnexpectedUpstream(
            f"not our service at {self._url}: {answer.status} {answer.content_type}"
        )

    async def ready(self) -> bool:
        """Return whether the service reports ready within 2 s; also opens a connection."""
        assert self._http is not None
        try:
            async with (
                asyncio.timeout(READY_TIMEOUT_S),
                await self.request("GET", "/readyz") as answer,
            ):
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _begin(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections_max, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=DNS_TTL_S
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._idle_timeout_s
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _retire(self, http: aiohttp.ClientSession) -> None:
        """Use new connections from now on.

        Closing the response is not enough: one without a body has returned its connection to the
        pool before it is examined.
        """
        if http is not self._http:
            return
        self._retired.append(http)
        self._http = self._begin()
        if len(self._retired) > MAX_RETIRED:
            self._tasks.start("retire", self._retired.popleft().close())

"""Connections to one of our own services, kept between calls, and given up when it is not our service that answers on them.

An address may be somebody else's for a moment: a Service that no node knows yet, the address of a pod that has just ended. Whatever
takes the connection there may keep it open for good, and a pool would go on using it long after the address is right.
"""

import asyncio
from collections import deque
from typing import Final

import aiohttp
import structlog

from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("service_client")

CONNECT_TIMEOUT_S: Final = 2.0
READY_TIMEOUT_S: Final = 2.0
KEEPALIVE_S: Final = 60.0
DNS_TTL_S: Final = 2
"""A pod comes back under its name with another address."""

MAX_RETIRED: Final = 32
"""Sets of connections that were given up and may still carry a turn."""

SERVICE_HEADER: Final = frozenset(("application/json", "text/event-stream"))
"""What our services answer in, errors included."""


class UnexpectedUpstream(aiohttp.ClientError):
    """Something else than our service is at its address."""


class ServiceClient:
    """`url` without a path; `connections_max` 0 is without a limit. An answer of which nothing comes for `silent_s` is an error."""

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
        """Begin to keep connections."""
        self._http = self._begin()

    async def aclose(self) -> None:
        """Close them all."""
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
        """The answer as soon as its head is there; the caller closes it. Raises aiohttp.ClientError (StrangerAnswered is one), OSError."""
        assert self._http is not None
        http = self._http
        answer = await http.request(method, self._url + path, data=body, headers=headers)
        if answer.content_type in SERVICE_HEADER:
            return answer
        answer.close()
        self._retire(http)
        metrics.UNEXPECTED_UPSTREAMS.inc()
        log.warning(
            "stranger_answered",
            url=self._url,
            path=path,
            status=answer.status,
            content_type=answer.content_type,
        )
        raise UnexpectedUpstream(
            f"a stranger at {self._url}: {answer.status} {answer.content_type}"
        )

    async def ready(self) -> bool:
        """Whether the service says so; also warms a connection."""
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
        """New connections from now on. Closing the answer is not enough: one without a body has gone back to the pool before it is seen."""
        if http is not self._http:
            return
        self._retired.append(http)
        self._http = self._begin()
        if len(self._retired) > MAX_RETIRED:
            self._tasks.start("retire", self._retired.popleft().close())

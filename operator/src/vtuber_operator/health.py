"""`/healthz`, `/readyz` and `/metrics` for the kubelet and Prometheus."""

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dialog_redis.client import RedisClient
from vtuber_operator.observe.resync import Resync
from vtuber_operator.observe.watch_health import WatchHealth
from vtuber_operator.reconciler import Reconciler
from vtuber_operator.settings import OperatorSettings

STALL_TIMEOUT_S: Final = 60.0
"""Seconds without a round of the work loop after which it counts as stalled.

Every call of a decision has a deadline, so a longer one hangs.
"""


class Health:
    """Combines the state of the operator's components."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        progress: WatchHealth,
        reconciler: Reconciler,
        resync: Resync,
        redis: RedisClient,
        watch_problem: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._reconciler = reconciler
        self._resync = resync
        self._redis = redis
        self._watch_problem = watch_problem
        self._clock = clock

    def unhealthy(self) -> list[str]:
        """Return the reasons why a restart would help.

        An API server or a Redis that is not available is not one of them.
        """
        reasons = []
        if (idle := self._clock() - self._reconciler.passed_at) > STALL_TIMEOUT_S:
            reasons.append(f"the work loop has made no pass for {idle:.0f} s")
        limit = 3.0 * self._settings.watch_timeout_s
        api_answers = (
            self._resync.succeeded_at is not None
            and self._clock() - self._resync.succeeded_at < limit
        )
        if (
            self._progress.established
            and api_answers
            and (silent := self._progress.silent_s()) > limit
        ):
            reasons.append(
                f"a watch has not been renewed for {silent:.0f} s, although the API server answers"
            )
        return reasons

    def unready(self) -> list[str]:
        """Return what is not known yet."""
        reasons = []
        if (problem := self._watch_problem()) is not None:
            reasons.append(problem)
        if missing := self._progress.missing:
            reasons.append(f"not listed yet: {', '.join(missing)}")
        if not self._redis.is_known:
            reasons.append("Redis has neither answered nor failed yet")
        if self._reconciler.passes == 0:
            reasons.append("nothing has been decided yet")
        return reasons

    def application(self) -> web.Application:
        """Return the application with the three routes."""

        async def healthz(_: web.Request) -> web.Response:
            reasons = self.unhealthy()
            return web.json_response(
                {"status": "stuck" if reasons else "ok", "reasons": reasons},
                status=503 if reasons else 200,
            )

        async def readyz(_: web.Request) -> web.Response:
            reasons = self.unready()
            details = {"redis": self._redis.unavailable_reason or "ok"}
            body = {
                "ready": not reasons,
                "service": "operator",
                "reasons": reasons,
                "details": details,
            }
            return web.json_response(body, status=503 if reasons else 200)

        async def metrics(_: web.Request) -> web.Response:
            return web.Response(
                body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST}
            )

        application = web.Application()
        application.add_routes(
            [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
        )
        return application

"""Probes: what a restart would mend, and what is not known yet."""

import time

import aiohttp

from vtuber_operator.reconciler import REPORT_UNAVAILABLE_AFTER_S
from vtuber_operator.testing.api_server import ApiServer, session
from vtuber_operator.testing.redis_server import RedisServer
from vtuber_operator.testing.wait import Operating, until


async def test_probes_and_metrics_answer(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("vtubersessions", session("live-001"))
    async with operating() as operator, aiohttp.ClientSession() as http:
        await until(lambda: operator.health.unready() == [], "ready")
        for path, word in (
            ("/healthz", '"ok"'),
            ("/readyz", '"ready": true'),
            ("/metrics", "vtuber_operator_passes_total"),
        ):
            async with http.get(f"http://127.0.0.1:{operator.port}{path}") as answer:
                assert answer.status == 200
                assert word in await answer.text()
        operator.reconciler.passed_at = time.monotonic() - 100
        assert "work loop" in operator.health.unhealthy()[0]


async def test_silent_watches_count_only_while_the_api_server_answers(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    async with operating() as operator:
        await until(lambda: operator.health.unready() == [], "ready")
        operator.progress._watched = dict.fromkeys(
            operator.progress._watched, time.monotonic() - 500
        )
        assert "a watch" in operator.health.unhealthy()[0]
        operator.resync.succeeded_at = time.monotonic() - 500
        assert operator.health.unhealthy() == []


async def test_redis_that_was_never_there_is_known_to_be_away(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    store.stop()
    await api.apply("vtubersessions", session("live-001"))
    ahead = [0.0]
    async with operating(clock=lambda: time.monotonic() + ahead[0]) as operator:
        await until(lambda: operator.redis.is_known, "has asked")
        assert operator.reconciler.passes == 0, "it may only be starting"
        assert operator.health.unready() != []
        ahead[0] = REPORT_UNAVAILABLE_AFTER_S
        await until(lambda: operator.reconciler.passes > 0, "decides all the same")
        assert operator.health.unready() == []
        await until(lambda: "RedisDown" in str(api.session("live-001").get("status")), "says so")
        await until(
            lambda: ("configmaps", "vt", "vtuber-flags") in api.objects, "cold starts have a table"
        )

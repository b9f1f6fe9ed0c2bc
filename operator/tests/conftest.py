"""A fake API server, a real Valkey and an operator between them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vtuber_cli import ports
from vtuber_operator.app import Operator
from vtuber_operator.settings import OperatorSettings
from vtuber_operator.testing.api_server import ApiServer, pod
from vtuber_operator.testing.redis_server import RedisServer
from vtuber_operator.testing.wait import Operating


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(ports.free(), tmp_path).running() as running:
        yield running


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    async with ApiServer().running(kubeconfig) as server:
        await server.apply("pods", pod("engine-0"))
        yield server


@pytest.fixture
def operating(api: ApiServer, store: RedisServer) -> Operating:
    @asynccontextmanager
    async def run(
        *, clock: Callable[[], float] = time.monotonic, **changes: Any
    ) -> AsyncIterator[Operator]:
        made = {
            "pod_namespace": "vt",
            "watch_namespaces": "vt",
            "redis_url": store.url,
            "health_host": "127.0.0.1",
            "health_port": 0,
            "resync_s": 0.5,
            "config_map_interval_s": 0.05,
            "redis_timeout_s": 0.5,
            **changes,
        }
        operator = Operator(OperatorSettings(**made), clock=clock)
        task = asyncio.create_task(operator.run())
        try:
            yield operator
        finally:
            operator.stop()
            await task

    return run

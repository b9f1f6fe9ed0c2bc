"""For all tests: hypothesis without deadlines, because machines are noisy; times are judged by the bench. And one real Valkey.

A test that only reads and writes takes `url`, `redis` or `link`; one that ends servers starts an `e2e.harness.store.Store` of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from e2e.harness.store import Store
from hypothesis import HealthCheck, settings
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_redis.client import RedisClient
from dialog_redis.work_queue import queue
from dialog_redis.work_queue.job import Handle, OnExhausted
from dialog_redis.work_queue.queue import WorkQueue
from dialog_telemetry import log_config
from vtuber_cli import ports

pytest_plugins = ["e2e.harness.levels", "e2e.harness.outcomes"]

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]

# A machine that stands still for a second is no slow strategy.
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")

# looptime asks for the current event loop before plain tests too; asyncio then makes one that
# nobody closes, and the warning about it fails whichever test runs when it is collected. Said once
# that there is none, asyncio makes none.
asyncio.set_event_loop(None)

# structlog's own tracebacks, with all variables in colour, take up to a second each.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The one server of this run, or of this worker of it."""
    with Store(tmp_path_factory.mktemp("valkey")) as store:
        with BlockingRedis.from_url(store.url) as client:
            # So often it looks whose waiting at a list is over, and every work list that is closed
            # waits for that; 10 is its own measure.
            client.config_set("hz", 100)
        yield store


@pytest.fixture
def url(valkey: Store) -> str:
    """A Valkey with nothing in it."""
    with BlockingRedis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture
async def redis(url: str) -> AsyncIterator["Redis"]:
    """The test's own eyes and hands in that Valkey."""
    async with Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def link(url: str) -> AsyncIterator[RedisClient]:
    """That Valkey as a service sees it."""
    made = RedisClient(url, timeout_s=2)
    yield made
    await made.aclose()


@pytest.fixture
def no_url() -> str:
    """Where nobody listens."""
    return f"redis://127.0.0.1:{ports.free()}/0"


@pytest.fixture
async def no_link(no_url: str) -> AsyncIterator[RedisClient]:
    """To where nobody listens."""
    made = RedisClient(no_url)
    yield made
    await made.aclose()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work lists that do not dawdle."""
    monkeypatch.setattr(queue, "BLOCK_S", 0.02)
    monkeypatch.setattr(queue, "RENEW_INTERVAL_S", 0.05)
    monkeypatch.setattr(queue, "RETRY_PAUSE_S", 0.02)


@pytest.fixture
def worked(url: str, redis: "Redis", quick: None) -> Callable[..., Awaitable[None]]:
    """Messages go through a list, oldest first, until nothing of them is left there."""

    async def through(
        name: str, handle: Handle, given_up: OnExhausted, *raws: str | bytes, at_once: int = 4
    ) -> None:
        await redis.lpush(name, *raws)
        work = WorkQueue(url, name, "one", at_once=at_once)
        work.start(handle, given_up)
        async with asyncio.timeout(5):
            while await redis.exists(name, redis_names.processing(name, "one")):  # noqa: ASYNC110 -- Valkey sets no Event
                await asyncio.sleep(0.005)
        await work.aclose()

    return through


@pytest.fixture
def crash() -> Callable[[WorkQueue], Awaitable[None]]:
    """A consumer ends without a word: its lease runs out, its processing list stays."""

    async def died(consumer: WorkQueue) -> None:
        # Between two calls: one that is cancelled in the middle of its sending may go on, and would
        # be waited for for ever.
        async with consumer._fetching, consumer._reclaimer:
            await consumer._feeding.close()
        await consumer._cancel_running_jobs()
        await consumer._store.aclose()

    return died


@pytest.fixture
def get() -> Get:
    """What a service answers on this port at this path: its status, and JSON where it is JSON."""

    async def asked(port: int, path: str) -> tuple[int, Any]:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:
            answer = await client.get(path)
            return answer.status_code, answer.json() if "json" in answer.headers[
                "content-type"
            ] else answer.text

    return asked


@pytest.fixture
def until_ready(get: Get) -> Callable[[int], Awaitable[dict[str, Any]]]:
    """Wait until the service on this port is ready; gives what it says then."""

    async def waited(port: int) -> dict[str, Any]:
        async with asyncio.timeout(8):
            while True:
                status, state = await get(port, "/readyz")
                if status == 200:
                    assert isinstance(state, dict)
                    return state
                await asyncio.sleep(0.01)

    return waited


@pytest.fixture
async def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds that pass at once on the event loop's clock, while sockets and threads are real.

    Whatever waits for them is due.
    """
    loop, ahead = asyncio.get_running_loop(), [0.0]
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead[0])

    def passed(seconds: float) -> None:
        ahead[0] += seconds

    return passed


@pytest.fixture
def complaint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], None], str, str], str]:
    """What a service says that is started with this setting, and does not start."""

    def said(main: Callable[[], None], name: str, value: str) -> str:
        # Log lines would go to the stream that this test captures, also after it.
        monkeypatch.setattr(log_config, "configure", lambda *_: None)
        monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return said

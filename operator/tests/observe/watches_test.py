"""The thread of kopf.

What it is told, how it begins anew, and with a small API server what it feeds.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import kopf
import pytest

from vtuber_operator import metrics
from vtuber_operator.errors import Forbidden
from vtuber_operator.observe.cache import Kind
from vtuber_operator.observe.watch_health import WatchHealth
from vtuber_operator.observe.watches import (
    SECRETS_SELECTOR,
    Watches,
    _kopf_settings,
    watched_namespaces,
    watched_paths,
)
from vtuber_operator.settings import OperatorSettings
from vtuber_operator.testing.api_server import ApiServer, pod, session
from vtuber_operator.testing.wait import until

Fed = list[tuple[str, str | None, str]]
WITHIN_S = 20


def settings(**changes: Any) -> OperatorSettings:
    return OperatorSettings(**{"pod_namespace": "vt", "watch_namespaces": "vt", **changes})


def now() -> float:
    return asyncio.get_running_loop().time()


def health(made: OperatorSettings) -> WatchHealth:
    return WatchHealth(watched_paths(made), on_relist=lambda: None, on_established=lambda: None)


async def there() -> bool:
    return True


@asynccontextmanager
async def running(
    watches: Watches, crd_is_there: Callable[[], Awaitable[bool]] = there
) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(watches.run(crd_is_there))
    try:
        yield task
    finally:
        watches.stop()
        # As long as the longest pause, and what runs in these tests.
        await asyncio.wait([task], timeout=100)
        assert task.done()


@pytest.mark.parametrize(
    ("watched", "namespaces"),
    [("", (None,)), ("a", ("a", "vt")), ("vt", ("vt",)), (" b, a ,b,", ("a", "b", "vt"))],
)
def test_the_namespaces_of_sessions_and_of_the_pods_are_watched_or_all(
    watched: str, namespaces: tuple[str | None, ...]
) -> None:
    made = settings(watch_namespaces=watched)
    assert watched_namespaces(made) == namespaces
    paths = watched_paths(made)
    assert len(paths) == len(set(paths)) == 3 * len(namespaces)
    assert all("/namespaces/" in path for path in paths) is (namespaces != (None,))


def test_kopf_gets_our_limits_and_needs_no_more_rights_than_it_has() -> None:
    made = _kopf_settings(settings(watch_timeout_s=30, api_timeout_s=4, flags_pod_selector="a=b"))
    assert made.scanning.disabled
    assert made.peering.standalone
    assert not made.posting.enabled
    assert made.watching.server_timeout == 30
    assert made.watching.inactivity_timeout is not None
    assert made.watching.inactivity_timeout > 30, "a quiet watch is not one that hangs"
    assert made.networking.request_timeout == 4
    assert made.watching.label_selectors["", "v1", "pods"] == "a=b"
    assert made.watching.label_selectors["", "v1", "secrets"] == SECRETS_SELECTOR


class Runs:
    """Stands for the thread: each run of kopf lasts `lasts_s` and ends for a reason."""

    def __init__(self, watches: Watches, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began: list[float] = []
        self.lasts_s, self.reason = 0.0, "Forbidden()"

        async def in_thread(_: Callable[[], object]) -> str | None:
            self.began.append(now())
            await asyncio.sleep(self.lasts_s)
            return self.reason

        monkeypatch.setattr(asyncio, "to_thread", in_thread)
        self.watches = watches


@pytest.fixture
async def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = settings()
    return Runs(Watches(made, lambda *_: None, health(made)), monkeypatch)


@pytest.mark.looptime
async def test_watches_that_end_at_once_begin_ever_more_rarely(runs: Runs) -> None:
    before = metrics.WATCH_RESTARTS._value.get()
    async with running(runs.watches):
        await asyncio.sleep(60)
        assert runs.watches.failed == "Forbidden()"
    pauses = [after - began for began, after in pairwise(runs.began)]
    assert pauses[:4] == pytest.approx([1, 2, 4, 8])
    assert set(pauses[4:]) == {10.0}
    # The last one was stopped.
    assert metrics.WATCH_RESTARTS._value.get() - before == len(runs.began) - 1


@pytest.mark.looptime
async def test_watches_that_ran_for_a_while_begin_again_at_once(runs: Runs) -> None:
    async with running(runs.watches):
        await asyncio.sleep(60)
        runs.lasts_s, count = 61, len(runs.began)
        await asyncio.sleep(200)
        pauses = [after - began for began, after in pairwise(runs.began[count:])]
        assert pauses[-1] == pytest.approx(61.5)
        runs.lasts_s = 0


@pytest.mark.looptime
async def test_watches_that_end_for_no_reason_have_ended_nevertheless(runs: Runs) -> None:
    runs.reason = ""
    async with running(runs.watches):
        await asyncio.sleep(0.1)
        assert runs.watches.failed == "the watches ended"


@pytest.mark.looptime
async def test_no_watch_begins_before_the_crd_is_there_and_why_is_said(runs: Runs) -> None:
    runs.lasts_s = 5
    answers: list[bool | Exception] = [False, Forbidden("discovery (403)"), False]

    async def crd() -> bool:
        answer = answers.pop(0) if answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with running(runs.watches, crd):
        began = now()
        await asyncio.sleep(1)
        assert "kubectl apply" in str(runs.watches.failed)
        await asyncio.sleep(2)
        assert runs.watches.failed == "discovery (403)"
        await asyncio.sleep(4)
        assert runs.watches.failed is None
    assert runs.began[0] - began == pytest.approx(6)


@pytest.mark.looptime
async def test_health_counts_from_the_new_beginning(runs: Runs) -> None:
    runs.lasts_s = 10
    async with running(runs.watches):
        await asyncio.sleep(1)
        progress = runs.watches._progress
        for path in watched_paths(settings()):
            progress.answered(path, 200, watch=True)
        assert progress.established
        await asyncio.sleep(12)
        assert not progress.established


async def test_what_is_listed_and_what_changes_is_fed_on_our_loop(api: ApiServer) -> None:
    made = settings()
    fed: Fed = []
    threads: set[threading.Thread] = set()

    def feed(kind: Kind, change: str | None, body: Mapping[str, Any]) -> None:
        threads.add(threading.current_thread())
        fed.append((kind, change, body["metadata"]["name"]))

    progress = health(made)
    labelled = {"metadata": {"name": "keys", "labels": {"vtuber.dev/session-key": "true"}}}
    await api.apply("secrets", {**labelled, "data": {}})
    await api.apply("secrets", {"metadata": {"name": "private"}, "data": {}})
    await api.apply("vtubersessions", session("live-001"))
    await api.apply("vtubersessions", session("elsewhere"), namespace="other")
    async with running(Watches(made, feed, progress)) as task:
        await until(lambda: progress.established, "established", WITHIN_S)
        await until(lambda: len(fed) >= 3, "all three kinds", WITHIN_S)
        assert set(fed) == {
            ("pods", None, "engine-0"),
            ("secrets", None, "keys"),
            ("sessions", None, "live-001"),
        }
        await api.apply("vtubersessions", session("live-002"))
        await api.delete("vtubersessions", "live-001")
        await api.apply("pods", pod("engine-1"))
        wanted = {
            ("sessions", "ADDED", "live-002"),
            ("sessions", "DELETED", "live-001"),
            ("pods", "ADDED", "engine-1"),
        }
        await until(lambda: wanted <= set(fed), "changes", WITHIN_S)
        assert not task.done()
    assert threads == {threading.current_thread()}
    assert task.exception() is None


async def test_an_error_of_kopf_is_the_reason_and_stays_in_its_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    async def operator(**_: Any) -> None:
        threads.append(threading.current_thread())
        raise RuntimeError("x" * 1_000)

    monkeypatch.setattr(kopf, "operator", operator)
    made = settings()
    watches = Watches(made, lambda *_: None, health(made))
    async with running(watches):
        await until(lambda: watches.failed is not None, "a reason", WITHIN_S)
        assert str(watches.failed).startswith("RuntimeError('xxx")
        assert len(str(watches.failed)) == 300
    assert threading.current_thread() not in threads

"""In virtual time, with a list of objects that the test plays and the real cache."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import Forbidden, TooMany, Unreachable
from vtuber_operator.observe.cache import ResourceCache
from vtuber_operator.observe.resync import Resync
from vtuber_operator.settings import OperatorSettings
from vtuber_operator.testing.api_server import pod

pytestmark = pytest.mark.looptime

EVERY_S = 60.0
SESSIONS = "/apis/vtuber.dev/v1alpha1/namespaces/vt/vtubersessions"


def session(name: str, namespace: str = "vt", version: int = 1) -> dict[str, Any]:
    meta = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"sessionId": name}}


def now() -> float:
    return asyncio.get_running_loop().time()


class Lists:
    """Answers lists; `errors` are raised first, one by one, by the first list of a resync."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[float, str, str | None]] = []
        self.errors: list[Exception] = []
        self.meanwhile: Callable[[str], None] = lambda _: None

    async def list_all(self, path: str, selector: str | None = None) -> list[dict[str, Any]]:
        self.asked.append((now(), path, selector))
        if self.errors:
            raise self.errors.pop(0)
        found = list(self.objects.get(path, []))
        await asyncio.sleep(0.01)
        self.meanwhile(path)
        return found

    def times(self) -> list[float]:
        """When sessions were listed."""
        return [at for at, path, _ in self.asked if path == SESSIONS]


class Audit:
    def __init__(self, watched: str = "vt") -> None:
        self.api, self.after = Lists(), list[float]()
        self.cache = ResourceCache(lambda: None, pods_in="vt")
        settings = OperatorSettings(
            pod_namespace="vt", watch_namespaces=watched, full_resync_s=EVERY_S
        )
        self.resync = Resync(
            settings,
            cast(ClusterApi, self.api),
            self.cache,
            lambda: self.after.append(now()),
            clock=now,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.resync.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def names(self) -> set[str]:
        return {resource.name for resource in self.cache.resources()}


async def test_nothing_is_complete_before_everything_was_listed_once() -> None:
    it = Audit()
    async with it.running():
        await asyncio.sleep(30)
        assert (it.resync.complete, it.api.asked) == (False, [])
        it.resync.request()
        await asyncio.sleep(1)
        assert it.resync.complete
        assert [(path, selector) for _, path, selector in it.api.asked] == [
            (SESSIONS, None),
            ("/api/v1/namespaces/vt/pods", "vtuber.dev/flags=true"),
            ("/api/v1/namespaces/vt/secrets", "vtuber.dev/session-key=true"),
        ]
        assert it.after == [it.resync.succeeded_at]


async def test_it_is_done_from_time_to_time_without_being_asked() -> None:
    it = Audit()
    async with it.running():
        await asyncio.sleep(3.5 * EVERY_S)
    assert it.api.times() == pytest.approx([EVERY_S, 2 * EVERY_S, 3 * EVERY_S], abs=1)
    assert len(it.after) == 3


async def test_requests_while_one_runs_are_one_more() -> None:
    it = Audit()

    def asks(path: str) -> None:
        if len(it.api.times()) == 1:
            it.resync.request()

    it.api.meanwhile = asks
    async with it.running():
        it.resync.request()
        await asyncio.sleep(5)
    assert len(it.api.times()) == 2


async def test_what_was_deleted_unseen_is_forgotten_and_what_was_missed_is_known() -> None:
    it = Audit()
    for name in ("kept", "gone"):
        it.cache.on_event("sessions", "ADDED", session(name))
    it.cache.on_event(
        "pods", "ADDED", {**pod("engine-0"), "metadata": {"namespace": "vt", "name": "engine-0"}}
    )
    it.api.objects[SESSIONS] = [session("kept"), session("missed")]
    await it.resync.run_once()
    assert it.names() == {"kept", "missed"}
    assert it.cache.live_pods() == {}


async def test_what_is_created_while_the_list_is_on_its_way_stays() -> None:
    it = Audit()
    it.api.meanwhile = lambda path: (
        it.cache.on_event("sessions", "ADDED", session("new")) if path == SESSIONS else None
    )
    await it.resync.run_once()
    assert it.names() == {"new"}


async def test_a_list_of_one_namespace_deletes_nothing_in_another() -> None:
    it = Audit(watched="a,b")
    for namespace in ("a", "b"):
        it.cache.on_event("sessions", "ADDED", session(f"in-{namespace}", namespace))
        path = SESSIONS.replace("/vt/", f"/{namespace}/")
        it.api.objects[path] = [session(f"in-{namespace}", namespace)]
    await it.resync.run_once()
    assert it.names() == {"in-a", "in-b"}
    listed = [path for _, path, _ in it.api.asked if "vtubersessions" in path]
    assert listed == [SESSIONS.replace("/vt/", f"/{name}/") for name in ("a", "b", "vt")]


async def test_without_chosen_namespaces_all_are_one_list() -> None:
    it = Audit(watched="")
    it.cache.on_event("sessions", "ADDED", session("gone", "any"))
    await it.resync.run_once()
    assert it.names() == set()
    assert [path for _, path, _ in it.api.asked] == [
        "/apis/vtuber.dev/v1alpha1/vtubersessions",
        "/api/v1/pods",
        "/api/v1/secrets",
    ]


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        (Unreachable("list"), 1),
        (Forbidden("list"), 1),
        (TooMany("list", after_s=7), 7),
    ],
)
async def test_a_list_that_fails_is_tried_again_after_a_pause_and_forgets_nothing(
    error: Exception, pause_s: float
) -> None:
    it = Audit()
    it.cache.on_event("sessions", "ADDED", session("kept"))
    it.api.objects[SESSIONS] = [session("kept")]
    it.api.errors = [error, error]
    async with it.running():
        it.resync.request()
        await asyncio.sleep(30)
        assert it.resync.complete
    first, *again = it.api.times()
    assert [at - first for at in again] == pytest.approx([pause_s, 2 * pause_s], abs=0.3)
    assert it.names() == {"kept"}
    assert len(it.after) == 1


async def test_a_failure_does_not_make_old_knowledge_look_new() -> None:
    it = Audit()
    async with it.running():
        it.resync.request()
        await asyncio.sleep(1)
        before = it.resync.succeeded_at
        it.api.errors = [Unreachable("list")] * 1_000
        await asyncio.sleep(5 * EVERY_S)
        assert it.resync.succeeded_at == before

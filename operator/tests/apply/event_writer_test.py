"""What `kubectl describe` tells: each thing once, in order, and in nobody's way."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from vtuber_operator.apply.event_writer import MAX_QUEUE, Events
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError, Forbidden, NotFound, Refused, TooMany, Unreachable
from vtuber_operator.plan.event_messages import EventMessage
from vtuber_operator.plan.snapshot import Resource
from vtuber_operator.settings import OperatorSettings

pytestmark = pytest.mark.looptime

WARNING = EventMessage("Warning", "SecretMissing", "there is no Secret openai")
NORMAL = EventMessage("Normal", "FlagOn", "SYNC_TTS_STREAMING is on; live pods: 2")


def resource(name: str = "live-001", uid: str = "u1") -> Resource:
    return Resource.from_body(
        {"metadata": {"namespace": "vt", "name": name, "uid": uid}, "spec": {"sessionId": name}}
    )


class Cluster(ClusterApi):
    """The API server's side: answers `failures` first, and keeps what it took with the time."""

    def __init__(self) -> None:
        super().__init__(1)
        self.failures: list[ClusterError] = []
        self.taken: list[tuple[float, str, dict[str, Any]]] = []
        self.asked = 0

    async def post_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append((asyncio.get_running_loop().time(), namespace, dict(event)))

    @property
    def notes(self) -> list[str]:
        return [event["note"] for _, _, event in self.taken]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@asynccontextmanager
async def events(cluster: Cluster) -> AsyncIterator[Events]:
    made = Events(cluster, OperatorSettings(pod_name="operator-0"))
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_event_is_about_the_very_object_and_fits_its_fields(cluster: Cluster) -> None:
    async with events(cluster) as posted:
        posted.post(resource("l" * 253), EventMessage("Warning", "KeyMissing", "x" * 5_000))
        await asyncio.sleep(1)
    _, namespace, event = cluster.taken[0]
    assert namespace == event["metadata"]["namespace"] == "vt"
    assert event["regarding"] == {
        "apiVersion": "vtuber.dev/v1alpha1",
        "kind": "VtuberSession",
        "namespace": "vt",
        "name": "l" * 253,
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["reportingInstance"]) == (
        "Warning",
        "KeyMissing",
        "operator-0",
    )
    # The API server refuses longer ones.
    assert len(event["note"]) <= 1_024
    assert len(event["metadata"]["name"]) <= 253
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["eventTime"])


async def test_the_same_warning_is_not_said_again_within_ten_minutes(cluster: Cluster) -> None:
    async with events(cluster) as posted:
        for _ in range(3):
            posted.post(resource(), WARNING)
        posted.post(
            resource(), EventMessage("Warning", "SecretMissing", "there is no Secret other")
        )
        posted.post(resource(uid="u2"), WARNING)
        await asyncio.sleep(599)
        posted.post(resource(), WARNING)
        await asyncio.sleep(1)
        assert len(cluster.taken) == 3, "another sentence and another object are other warnings"
        await asyncio.sleep(1)
        posted.post(resource(), WARNING)
        await asyncio.sleep(1)
        assert len(cluster.taken) == 4


async def test_what_is_no_warning_is_told_each_time(cluster: Cluster) -> None:
    async with events(cluster) as posted:
        posted.post(resource(), NORMAL)
        posted.post(resource(), NORMAL)
        await asyncio.sleep(1)
    assert len(cluster.taken) == 2
    assert len({event["metadata"]["name"] for _, _, event in cluster.taken}) == 2


async def test_one_that_could_not_be_posted_is_tried_again_before_the_next(
    cluster: Cluster,
) -> None:
    cluster.failures = [Unreachable("event"), TooMany("event", after_s=30)]
    async with events(cluster) as posted:
        posted.post(resource(), WARNING)
        posted.post(resource(), NORMAL)
        await asyncio.sleep(60)
    assert cluster.notes == [WARNING.message, NORMAL.message]
    assert cluster.taken[0][0] >= 31, "a second, then as long as the server said"


@pytest.mark.parametrize("error", [NotFound("event"), Refused("event", "no")])
async def test_one_that_never_will_be_taken_is_let_go_at_once(
    cluster: Cluster, error: ClusterError
) -> None:
    cluster.failures = [error]
    async with events(cluster) as posted, asyncio.timeout(1):
        posted.post(resource(), WARNING)
        posted.post(resource(), NORMAL)
        while not cluster.taken:
            await asyncio.sleep(0.01)
    assert cluster.notes == [NORMAL.message]


async def test_a_missing_verb_costs_the_event_and_not_the_operator(cluster: Cluster) -> None:
    cluster.failures = [Forbidden("event", "no verb create")] * 3
    with capture_logs() as lines:
        async with events(cluster) as posted:
            posted.post(resource(), WARNING)
            posted.post(resource(), NORMAL)
            await asyncio.sleep(10)
    assert cluster.notes == [NORMAL.message]
    assert [line["event"] for line in lines] == ["event_not_posted"]
    assert "no verb create" in lines[0]["error"]


async def test_of_too_many_the_oldest_go_and_nobody_waits(cluster: Cluster) -> None:
    posted = Events(cluster, OperatorSettings())
    for number in range(MAX_QUEUE + 5):
        posted.post(resource(), EventMessage("Normal", "FlagOn", str(number)))
    task = asyncio.create_task(posted.run())
    await asyncio.sleep(MAX_QUEUE * 0.02)
    assert cluster.notes == [str(number) for number in range(5, MAX_QUEUE + 5)]
    task.cancel()


async def test_what_waits_is_posted_after_a_crash_in_between(cluster: Cluster) -> None:
    cluster.failures = [ValueError("a kubeconfig that is just being written")]  # type: ignore[list-item]
    posted = Events(cluster, OperatorSettings())
    posted.post(resource(), NORMAL)
    posted.post(resource(), WARNING)
    with pytest.raises(ValueError, match="kubeconfig"):
        await posted.run()
    task = asyncio.create_task(posted.run())
    await asyncio.sleep(1)
    assert WARNING.message in cluster.notes
    task.cancel()

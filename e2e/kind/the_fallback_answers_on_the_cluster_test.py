"""However the engine fails, as a pod or in a conversation.

Texts and recordings are answered once, and the engine takes over again.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from e2e.clients.legacy import LegacyClient
from e2e.harness import clients
from e2e.harness.recordings import webm
from e2e.kind import engine_process, fault_matrix, sessions, timeouts
from e2e.kind.client import STREAMED, Room, room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

ENGINE = "statefulset/vtuber-dialog-engine"
ANSWERED_WITHIN_S = 5.0
"""Detection, a reply of the rules at their own pace, and a whole file, on two cores that also start pods."""


async def kubectl(namespace: Namespace, *arguments: str) -> str:
    return await asyncio.to_thread(namespace.kubectl, *arguments, within=timeouts.POD_READY_AGAIN)


@asynccontextmanager
async def absent(namespace: Namespace) -> AsyncIterator[None]:
    await kubectl(namespace, "scale", ENGINE, "--replicas=0")
    await kubectl(namespace, "wait", "--for=delete", "pod/vtuber-dialog-engine-0", "--timeout=60s")
    yield
    await kubectl(namespace, "scale", ENGINE, "--replicas=1")


@asynccontextmanager
async def killed(namespace: Namespace) -> AsyncIterator[None]:
    engine_process.find(namespace).send("KILL")
    yield


@asynccontextmanager
async def restarted(namespace: Namespace) -> AsyncIterator[None]:
    await kubectl(namespace, "rollout", "restart", ENGINE)
    await asyncio.sleep(2)
    yield


@asynccontextmanager
async def hangs(namespace: Namespace) -> AsyncIterator[None]:
    """Connections are taken by the kernel and nothing answers."""
    process = engine_process.find(namespace)
    process.send("STOP")
    yield
    process.send("CONT")


@pytest.mark.timeout(timeouts.LONG_TEST, func_only=True)
async def test_whatever_happens_to_the_engine(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", "--set", f"{STREAMED},legacy.enabled=true").upgrade()
    place = room(namespace)
    rooms = {flags: Room(place.at, f"{place.session}-{flags}") for flags in fault_matrix.FLAGS}
    recorded = {flags: f"{one.session}-recorded" for flags, one in rooms.items()}
    for flags, wanted in fault_matrix.FLAGS.items():
        texts_and_recordings = (rooms[flags].session, recorded[flags])
        sessions.apply(
            namespace,
            *(sessions.resource(session, session, wanted) for session in texts_and_recordings),
        )
    sessions.all_ready(namespace)
    await whatever_it_does_in_a_conversation(namespace, place.at)
    said: dict[str, list[int]] = {
        flags: [(await one.talks_again()).turn] for flags, one in rooms.items()
    }
    recording = webm(1.0)
    for fault in (absent, killed, restarted, hangs):
        async with fault(namespace):
            texts, replies = await asyncio.gather(
                asyncio.gather(*(answered(one) for one in rooms.values())),
                asyncio.gather(
                    *(
                        LegacyClient(f"ws://{place.at}", session).send_recording(recording)
                        for session in recorded.values()
                    )
                ),
            )
        for flags, text in zip(rooms, texts, strict=True):
            said[flags].append(text.turn)
            assert text.stats["path"] == "legacy", (fault.__name__, flags)
        for reply in replies:
            assert reply.error is None, f"{fault.__name__}: {reply.error}"
            assert reply.text
            assert reply.audio[:4] == b"RIFF"
        async with asyncio.timeout(timeouts.POD_READY_AGAIN):
            while (again := await rooms["bargein"].talks_again()).stats.get("path") == "legacy":
                said["bargein"].append(again.turn)
                await asyncio.sleep(0.5)
        said["bargein"].append(again.turn)
    for flags, one in rooms.items():
        assert said[flags] == sorted(set(said[flags])), (
            "every turn has a number of its own, and they rise"
        )
        assert set(said[flags]) <= set(await one.turns()), "one history"


async def whatever_it_does_in_a_conversation(namespace: Namespace, at: str) -> None:
    """The matrix of faults and flags, for texts and recordings."""
    with fault_matrix.in_front(namespace):
        sessions.apply(namespace, *fault_matrix.resources())
        sessions.all_ready(namespace)
        found = await fault_matrix.cells(at)
    print(fault_matrix.table(found))
    assert [cell for cell in found if cell.problem] == []


async def answered(place: Room) -> Any:
    """A turn with its voice at a viewer, in time, once."""
    async with clients.watching(f"ws://{place.at}", place.session) as viewer:
        began = time.monotonic()
        answer = await clients.chat(
            f"http://{place.at}", place.session, request_id=uuid.uuid4().hex
        )
        took = time.monotonic() - began
        assert answer.status == 200
        assert answer.events[-1] == "done", answer.frames
        assert answer.events.count("done") == 1
        assert took < ANSWERED_WITHIN_S
        # What was answered while nobody listened may be told first.
        await viewer.until(
            lambda seen: [end for end in seen.of("CONTROL", "END") if end["turn"] == answer.turn],
            timeouts.SPOKEN,
        )
        assert viewer.seconds_of(answer.turn) > 1
        return answer

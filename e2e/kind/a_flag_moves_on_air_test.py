"""Flags go on and off while a stream runs.

No restart, no viewer disconnected, the next turn follows, the status tells the story.
"""

import asyncio
from collections.abc import Callable

from e2e.harness.clients import Answer, watching
from e2e.kind import sessions, timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.sessions import INTERRUPTIBLE, STREAMING

OPERATOR = ("--set", "operator.enabled=true")


async def test_on_and_off_in_the_middle_of_a_turn(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", *OPERATOR).upgrade()
    place = room(namespace)
    await place.talks_again()
    pods = {pod["metadata"]["uid"] for pod in namespace.pods()}
    async with watching(f"ws://{place.at}", place.session) as viewer:
        assert (await place.say()).stats["voice"] == "off"

        sessions.apply(namespace, sessions.resource("on-air", place.session, INTERRUPTIBLE))
        sessions.ready(namespace, "on-air")
        shown = sessions.status(namespace, "on-air")
        assert shown["observedGeneration"] == 1
        flags = {flag["name"]: flag for flag in shown["flags"]}
        assert flags["SYNC_TTS_BARGE_IN"]["effective"] is True
        assert (
            flags["SYNC_TTS_BARGE_IN"]["acknowledgedPods"]
            == flags["SYNC_TTS_BARGE_IN"]["livePods"]
            == 4
        )

        talking = asyncio.create_task(place.say())
        await viewer.until(lambda seen: len(seen.chunks) > 3)
        sessions.apply(namespace, sessions.resource("on-air", place.session, {}))
        sessions.ready(namespace, "on-air")
        spoken: Answer = await talking
        assert spoken.stats["voice"] == "espeak"
        await viewer.until(
            lambda seen: [end for end in seen.of("CONTROL", "END") if end["turn"] == spoken.turn]
        )
        assert (await place.say()).stats["voice"] == "off", "the next turn follows"

        sessions.apply(namespace, sessions.resource("on-air", place.session, STREAMING))
        sessions.ready(namespace, "on-air")
        assert (await place.say()).stats["voice"] == "espeak"
        assert not viewer.closed.is_set(), "nobody was disconnected"
    assert namespace.restarts() == 0
    assert {pod["metadata"]["uid"] for pod in namespace.pods()} == pods, "no pod was replaced"

    story = namespace.kubectl("describe", "vts", "on-air")
    assert "SYNC_TTS_STREAMING" in story.partition("Events:")[2]
    columns = namespace.kubectl("get", "vts").splitlines()
    assert columns[0].split()[:2] == ["NAME", "SESSION"]
    assert place.session in columns[1]


async def test_the_document_for_all_and_one_of_its_own(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", *OPERATOR).upgrade()
    own, other = room(namespace), room(namespace)
    await own.talks_again()
    sessions.apply(
        namespace,
        sessions.resource("everyone", "*", INTERRUPTIBLE),
        sessions.resource("own", own.session, {}),
    )
    sessions.ready(namespace, "everyone")
    sessions.ready(namespace, "own")
    assert (await other.say()).stats["voice"] == "espeak"
    assert (await own.say()).stats["voice"] == "off", (
        "an absent flag takes the default, not another resource's value"
    )

    namespace.kubectl("delete", "vts", "own")
    async with asyncio.timeout(timeouts.FLAG_FOLLOWS):
        while (await own.say()).stats["voice"] != "espeak":
            await asyncio.sleep(0.2)

    sessions.apply(namespace, sessions.resource("late", "*", {}))
    namespace.until(
        "the younger of two resources says so",
        lambda: sessions.condition(namespace, "late", "Stalled").get("status") == "True",
        timeouts.SESSION_READY,
    )
    assert "everyone" in sessions.condition(namespace, "late", "Stalled")["message"]
    assert (await other.say()).stats["voice"] == "espeak", "the older one counts"

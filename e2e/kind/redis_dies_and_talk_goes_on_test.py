"""Redis goes away in a running system.

She goes on talking with the flags she had, and with Redis everything that needs it comes back.
"""

from collections.abc import Callable

from e2e.harness import clients
from e2e.kind import timeouts
from e2e.kind.client import STREAMED, room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release


async def test_talk_goes_on_without_redis_and_catches_up(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", "--set", STREAMED).upgrade()
    place = room(namespace)
    await place.talks_again()
    first, viewer = await place.say_and_hear()
    assert viewer.seconds_of(first.turn) > 1

    namespace.kubectl("scale", "statefulset/vtuber-redis", "--replicas=0")
    namespace.until(
        "Redis is away",
        lambda: not namespace.pods("redis", ending=True),
        timeouts.POD_READY_AGAIN,
    )
    without, viewer = await place.say_and_hear()
    assert without.events[-1] == "done"
    assert without.turn > first.turn
    assert viewer.seconds_of(without.turn) > 1, "the flags are the last ones known"

    namespace.kubectl("scale", "statefulset/vtuber-redis", "--replicas=1")
    namespace.rolled_out("statefulset/vtuber-redis", within=timeouts.POD_READY_AGAIN)
    after = await place.talks_again()
    assert after.turn > without.turn, "numbers go on where they were"
    assert first.turn in await place.turns(), "what Redis knew it still knows"
    sessions = await clients.get(f"http://{place.at}/sessions")
    assert place.session in [found["sessionId"] for found in sessions["sessions"]]
    assert namespace.restarts() == 0, "nobody was restarted for it"

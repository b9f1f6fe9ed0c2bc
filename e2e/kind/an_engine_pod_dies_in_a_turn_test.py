"""The engine's pod is killed in the middle of an answer: its client gets one clear end, the next turn works, and what was said is there."""

import asyncio
from collections.abc import Callable

from e2e.harness.clients import watching
from e2e.kind import timeouts
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.talk import STREAMED, room


async def test_one_clear_end_and_then_it_goes_on(namespace: Namespace, release: Callable[..., Release]) -> None:
    release("helm", "--set", STREAMED).upgrade()
    place = room(namespace)
    first = await place.talks_again()

    async with watching(f"ws://{place.at}", place.session) as viewer:
        cut = asyncio.create_task(place.say("Tell me about yourself."))
        # Not a chunk of the first turn, which may still be heard.
        await viewer.until(lambda seen: seen.seconds_of(first.turn + 1) > 0)
        namespace.kubectl("delete", "pod", "vtuber-dialog-engine-0", "--grace-period=0", "--force")
        answer = await cut
    # Text runs ahead of speech: the text may be whole, or it ends with one error; it never just stops.
    assert answer.events[-1] in ("done", "error")
    assert answer.events.count("error") + answer.events.count("done") == 1

    namespace.rolled_out("statefulset/vtuber-dialog-engine", within=timeouts.POD_READY_AGAIN)
    again = await place.talks_again()
    assert again.turn > answer.turn or again.turn > first.turn
    assert {first.turn, again.turn} <= set(await place.turns()), "what was said before is still known"

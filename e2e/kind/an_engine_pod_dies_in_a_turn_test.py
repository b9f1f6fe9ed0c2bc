"""The engine's pod is killed in the middle of an answer: its client gets one clear end and so does who resumes, the next turn works, and
what was said is there."""

import asyncio
import uuid
from collections.abc import Callable

from e2e.harness.clients import chat, watching
from e2e.kind import engine_process, timeouts
from e2e.kind.client import STREAMED, room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release

TRIES = 10
"""The text of an answer takes half a second, and a signal to a process in a node nearly as long when the machine is busy."""


async def test_one_clear_end_and_then_it_goes_on(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", "--set", STREAMED).upgrade()
    place = room(namespace)
    first = await place.talks_again()
    url, asked = f"http://{place.at}", ""
    process = engine_process.find(namespace)
    last = first.turn
    async with watching(f"ws://{place.at}", place.session) as viewer:
        for _ in range(TRIES):
            asked = uuid.uuid4().hex
            cut = asyncio.create_task(
                chat(url, place.session, "Tell me about yourself.", request_id=asked)
            )
            await viewer.until(
                lambda seen, last=last: [  # type: ignore[misc]
                    frame for frame in seen.of("TEXT_DELTA") if frame["turn"] > last
                ]
            )
            # A pod takes its time to die, and the text would be whole by then: it stands still
            # first.
            await asyncio.to_thread(process.send, "STOP")
            await asyncio.sleep(0.2)
            if not cut.done():
                break
            process.send("CONT")
            last = (await cut).turn
        await asyncio.to_thread(
            namespace.kubectl,
            "delete",
            "pod",
            "vtuber-dialog-engine-0",
            "--grace-period=0",
            "--force",
        )
        answer = await cut
    assert "text-delta" in answer.events
    assert (answer.events[-1], answer.events.count("error"), answer.events.count("done")) == (
        "error",
        1,
        0,
    ), answer.frames[-1]
    assert '"engine_lost"' in answer.frames[-1].data

    namespace.rolled_out("statefulset/vtuber-dialog-engine", within=timeouts.POD_READY_AGAIN)
    again = await place.talks_again()
    assert again.turn > answer.turn > last
    last_id = next(frame.id for frame in reversed(answer.frames) if frame.id is not None)
    more = {"turn": answer.turn, "headers": {"Last-Event-ID": last_id}}
    resumed = await chat(url, place.session, "Tell me about yourself.", request_id=asked, **more)
    known = await place.turns()
    if resumed.status == 200:
        # The signal came between the commit and `done`: it was all there.
        assert (resumed.events[-1], answer.turn in known) == ("done", True)
    else:
        # Nothing of it was stored: the rest would be of another reply.
        assert (resumed.status, resumed.body["code"]) == (409, "turn_lost")
        assert answer.turn not in known, "what was not stored is not pretended"
    assert {first.turn, again.turn} <= set(known), "and what was said before is still known"

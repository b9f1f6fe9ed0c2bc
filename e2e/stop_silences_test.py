"""STOP.

Nothing of the turn follows, viewers flush, the model is cancelled, only heard words are kept,
nobody else notices.
"""

import asyncio

import pytest

from e2e import timeouts
from e2e.harness.clients import Viewer, chat, get, post, watching
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes


async def stopped(viewer: Viewer) -> None:
    await viewer.until(lambda v: v.of("CONTROL", "STOP_ACK"), timeouts.STOPPED)


@pytest.mark.parametrize("by", ["socket", "http", "command", "new turn"])
async def test_stop_from_anywhere_silences_this_session_only(fake_models: Stack, by: str) -> None:
    name = f"stop-{by.replace(' ', '-')}"
    async with (
        watching(fake_models.ws, name) as viewer,
        watching(fake_models.ws, f"{name}-other") as other,
    ):
        asking = [
            asyncio.create_task(chat(fake_models.url, session))
            for session in (name, f"{name}-other")
        ]
        await viewer.until(lambda v: len(v.chunks) > 20)
        if by == "socket":
            await viewer.send(type="CONTROL", action="STOP", sessionId=name)
        elif by == "http":
            reply = await post(fake_models.url, {"sessionId": name}, path="/control/stop")
            assert (reply.status, reply.body) == (202, {"ok": True, "stopped": True})
        elif by == "command":
            await chat(fake_models.url, name, "STOP", type="COMMAND")
        else:
            await chat(fake_models.url, name, "wait")
        await stopped(viewer)
        answer = await asking[0]
        count = len([chunk for chunk in viewer.chunks if chunk.turn == answer.turn])
        assert [frame["turn"] for frame in viewer.of("CONTROL", "STOP")] == [answer.turn]
        await asyncio.sleep(0.3)
        assert len([chunk for chunk in viewer.chunks if chunk.turn == answer.turn]) == count
        turns = (await get(f"{fake_models.url}/sessions/{name}/turns"))["turns"]
        kept = next(entry for entry in turns if entry["turn"] == answer.turn)
        assert kept["interrupted"]
        assert answer.text.startswith(kept["reply"])
        assert len(kept["reply"]) < len(answer.text)
        assert viewer.of("CONTROL", "STOP_ACK")[0]["heardText"] == kept["reply"]
        await other.until(lambda v: v.of("CONTROL", "END"))
        assert not other.of("CONTROL", "STOP")
        assert (await asking[1]).events[-1] == "done"


async def test_stop_twice_for_nothing_and_for_another_turn_is_harmless(fake_models: Stack) -> None:
    assert (
        await post(fake_models.url, {"sessionId": "never-seen"}, path="/control/stop")
    ).status == 404
    async with watching(fake_models.ws, "twice") as viewer:
        assert (await post(fake_models.url, {"sessionId": "twice"}, path="/control/stop")).body[
            "stopped"
        ] is False
        asking = asyncio.create_task(chat(fake_models.url, "twice"))
        await viewer.until(lambda v: len(v.chunks) > 10)
        replies = [
            await post(fake_models.url, {"sessionId": "twice", **turn}, path="/control/stop")
            for turn in ({"turn": 99}, {}, {})
        ]
        assert [reply.body["stopped"] for reply in replies] == [False, True, False]
        await stopped(viewer)
        await asking
        assert (await chat(fake_models.url, "twice", "and now?")).events[-1] == "done"

"""The same message never becomes two answers, and a broken connection gets the rest of the one it had."""

import asyncio
import json

import pytest

from e2e.harness.clients import chat, get, post
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes


async def test_repeating_a_request_id_replays_the_reply(fake_models: Stack) -> None:
    first = await chat(fake_models.url, "repeat", request_id="r1")
    again = await chat(fake_models.url, "repeat", request_id="r1")
    assert again.frames == first.frames
    assert len((await get(f"{fake_models.url}/sessions/repeat/turns"))["turns"]) == 1


async def test_two_at_the_same_time_share_one_turn(fake_models: Stack) -> None:
    one, two = await asyncio.gather(
        *(chat(fake_models.url, "share", request_id="r1") for _ in range(2))
    )
    assert one.frames == two.frames


async def test_resuming_after_any_event_gives_the_rest(fake_models: Stack) -> None:
    whole = await chat(fake_models.url, "resume", request_id="r1")
    for cut in (0, 1, 17, len(whole.frames) - 2):
        rest = await chat(
            fake_models.url,
            "resume",
            request_id="r1",
            headers={"Last-Event-ID": whole.frames[cut].id},
        )
        assert rest.frames == whole.frames[cut + 1 :]


async def test_a_running_turn_can_be_joined_after_a_break(fake_models: Stack) -> None:
    whole = asyncio.create_task(chat(fake_models.url, "join", request_id="r1"))
    await asyncio.sleep(0.15)
    joined = await chat(fake_models.url, "join", request_id="r1", headers={"Last-Event-ID": "1.3"})
    assert joined.frames == (await whole).frames[4:]


async def test_a_number_taken_by_another_message_is_409_with_the_next_one(
    fake_models: Stack,
) -> None:
    answer = await chat(fake_models.url, "taken")
    refused = await chat(fake_models.url, "taken", turn=answer.turn)
    assert refused.status == 409
    assert (refused.body["code"], refused.body["nextTurn"]) == ("turn_taken", answer.turn + 1)


async def test_flags_cannot_be_set_from_outside(fake_models: Stack) -> None:
    body = {
        "sessionId": "flags",
        "content": "hi",
        "meta": {"requestId": "r", "flags": {"SYNC_TTS_STREAMING": False}},
    }
    answer = await post(fake_models.url, body)
    assert json.loads(answer.frames[-1].data)["stats"]["first_audio_ms"] > 0

"""An answer that nobody hears waits for somebody, and is told once."""

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from output_handler.testing.fake_legacy import response

if TYPE_CHECKING:
    from conftest import Listen, Room

pytestmark = pytest.mark.looptime


async def test_an_answer_without_a_viewer_waits_for_one(room: "Room", listen: "Listen") -> None:
    await room.voiced(1, 200)
    await asyncio.sleep(3)
    assert room.heard == []
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert sent.without_chunks()[1:] == [
        "START 1",
        "STATE THINKING",
        "TEXT 今晚玩解谜",
        "STATE SPEAKING",
        "END 1",
        "STATE IDLE",
    ]


async def test_whoever_comes_later_is_told_the_newest_of_what_nobody_heard(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    for turn in (1, 2, 3):
        kept = response(turn, blob=await room.post.voice(1_000))
        asked = kept.meta.model_copy(update={"received_at": time.time() - 60})
        metadata = kept.metadata.model_copy(update={"processing_time": 0.5})
        room.player.on_response(kept.model_copy(update={"meta": asked, "metadata": metadata}))
    await asyncio.sleep(5)
    assert [text for text in sent.without_chunks() if text.startswith("END")] == ["END 3"]
    assert room.heard == ["live-001#3"]


async def test_an_older_client_is_told_all_of_it(room: "Room", listen: "Listen") -> None:
    await room.voiced(1, 1_000)
    await room.voiced(2, 1_000)
    _, sent = await listen(room.session, legacy=True)
    await asyncio.sleep(1)
    assert sent.told().count("audio_complete") == 2


async def test_what_was_heard_meanwhile_elsewhere_is_not_told_again(
    room: "Room", listen: "Listen"
) -> None:
    await room.voiced(1, 200)
    await room.voiced(2, 200)
    await asyncio.sleep(1)
    room.heard.append("live-001#1")
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert [line for line in sent.told() if "START" in line] == ["START 2"]


async def test_when_redis_cannot_say_it_is_rather_told_twice(
    room: "Room", listen: "Listen"
) -> None:
    await room.voiced(1, 200)
    room.post.responses.down = True
    _, sent = await listen(room.session)
    await asyncio.sleep(1)
    assert "END 1" in sent.told()


async def test_an_answer_that_ends_before_nobody_is_told_again_to_the_next_viewer(
    room: "Room", listen: "Listen"
) -> None:
    viewer, _ = await listen(room.session)
    await room.voiced(1, 2_000)
    await asyncio.sleep(0.5)
    room.session.leave(viewer)
    await asyncio.sleep(5)
    assert room.heard == []
    _, sent = await listen(room.session)
    await asyncio.sleep(3)
    assert len(sent.chunks()) == 50
    assert room.heard == ["live-001#1"]
    _, again = await listen(room.session)
    await asyncio.sleep(1)
    assert again.told() == ["STATE IDLE"]

"""An older client beside a page, in virtual time: its answer is played before it listens."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from output_handler.testing.fake_legacy import response

if TYPE_CHECKING:
    from conftest import Listen, Room

pytestmark = pytest.mark.looptime


async def test_an_older_client_that_listens_after_its_answer_was_played_to_others_gets_it_once(
    room: "Room", listen: "Listen"
) -> None:
    await listen(room.session)
    await room.voiced(1, 200, request_id="upload-1")
    await asyncio.sleep(5)
    _, late = await listen(room.session, legacy=True)
    await asyncio.sleep(0.001)
    assert late.told()[0] == "success 今晚玩解谜"
    _, again = await listen(room.session, legacy=True)
    await asyncio.sleep(1)
    assert again == []


async def test_an_older_client_that_listens_late_is_told_also_that_there_is_no_answer(
    room: "Room", listen: "Listen"
) -> None:
    await listen(room.session)
    room.player.on_response(response(1, error="the model is away", request_id="upload-1"))
    await asyncio.sleep(1)
    _, late = await listen(room.session, legacy=True)
    await asyncio.sleep(0.001)
    assert "the model is away" in late.told()[0]


@pytest.mark.parametrize(("request_id", "after_s"), [("m-1", 1), ("upload-1", 31)])
async def test_nothing_is_owed_for_a_question_of_others_nor_for_ever(
    room: "Room", listen: "Listen", request_id: str, after_s: float
) -> None:
    await listen(room.session)
    await room.voiced(1, 200, request_id=request_id)
    await asyncio.sleep(after_s)
    _, late = await listen(room.session, legacy=True)
    await asyncio.sleep(1)
    assert late == []


async def test_what_is_its_own_goes_before_what_is_on_air(room: "Room", listen: "Listen") -> None:
    await listen(room.session)
    await room.voiced(1, 200, text="for the older client", request_id="upload-1")
    await asyncio.sleep(1)
    await room.voiced(2, 4_000, text="for the page", request_id="m-2")
    await asyncio.sleep(1)
    _, late = await listen(room.session, legacy=True)
    await asyncio.sleep(8)
    told = [line for line in late.told() if line.startswith("success")]
    assert told == ["success for the older client"]

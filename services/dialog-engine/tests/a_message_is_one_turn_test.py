"""A message that comes twice asks the model once, and a turn's number is one message's."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_engine.errors import TurnTaken
from service_runtime.errors import InvalidField

if TYPE_CHECKING:
    from conftest import Opens


async def test_the_same_message_never_asks_the_model_twice(engine: "Opens") -> None:
    async with engine() as one:
        first = await one.say(1, request_id="r1", flags={})
        assert await one.say(1, request_id="r1") == first
        assert await one.say(2, request_id="r1") == first
        assert len(one.brain.prompts) == 1
    async with engine() as again:
        rebuilt = await again.say(1, request_id="r1")
        assert rebuilt.text == first.text
        assert rebuilt.names == [
            name for frame, name in zip(first, first.names, strict=True) if "SPEECH_START" not in frame.data
        ]
        assert again.brain.prompts == []


async def test_two_callers_of_a_running_turn_share_one_model_call(engine: "Opens") -> None:
    async with engine(gap_s=0.01) as one:
        both = await asyncio.gather(one.say(1, request_id="r"), one.say(1, request_id="r"))
        assert both[0] == both[1]
        assert len(one.brain.prompts) == 1


async def test_another_message_under_a_known_number_is_turn_taken(engine: "Opens") -> None:
    async with engine() as one:
        await one.say(1, request_id="r1", flags={})
        await one.say(4, request_id="r4", flags={})
        for number in (1, 3, 4):
            with pytest.raises(TurnTaken) as caught:
                await one.say(number, request_id="other")
            assert caught.value.body.code == "turn_taken"
            assert caught.value.body.next_turn == 5


async def test_resume_gives_exactly_what_is_missing(engine: "Opens") -> None:
    async with engine() as one:
        whole = await one.say(1, request_id="r1")
        for cut in range(len(whole)):
            assert await one.say(1, request_id="r1", after=whole[cut].id) == whole[cut + 1 :]
        with pytest.raises(InvalidField, match="Last-Event-ID"):
            await one.say(1, request_id="r1", after="junk")

"""A message that comes twice asks the model once, and a turn's number is one message's."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_engine.errors import TurnNumberTaken
from service_runtime.http.errors import Conflict, InvalidField

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
            name
            for frame, name in zip(first, first.names, strict=True)
            if "SPEECH_START" not in frame.data
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
            with pytest.raises(TurnNumberTaken) as caught:
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


async def test_a_number_that_a_caller_chose_is_taken_within_reach_of_the_last_one_only(
    engine: "Opens",
) -> None:
    """`known_turn`.

    What input-handler knows, which is nothing where the session's counter has gone.
    """
    async with engine() as one:
        await one.say(1, request_id="r1")
        for known, turn in ((0, 102), (50, 151), (0, 2**31 - 1)):
            with pytest.raises(Conflict, match=f"{turn} is out of reach") as refused:
                await one.say(turn, request_id="far", meta={"knownTurn": known})
            assert refused.value.body.field == "turn"
        await one.say(101, request_id="near", meta={"knownTurn": 0})
        # input-handler's own numbers are taken as they are: the chain may have answered thousands
        # of turns meanwhile.
        await one.say(5_000, request_id="own")
        await one.say(5_100, request_id="later", meta={"knownTurn": 0})


async def test_after_the_last_event_there_is_nothing_and_no_event_that_is_yet_to_come_can_be_named(
    engine: "Opens",
) -> None:
    async with engine(gap_s=0.05) as one:
        async with one.open(1, request_id="r1") as batches:
            await anext(batches)
            with pytest.raises(Conflict, match="event 99 of turn 1 does not exist yet"):
                await one.say(1, request_id="r1", after="1.99")
            whole = [frame async for batch in batches for frame in batch]
        assert await one.say(1, request_id="r1", after=whole[-1].id) == []
        assert await one.say(1, request_id="r1", after="1.99") == []


async def test_a_session_that_has_had_every_number_names_no_next_one(engine: "Opens") -> None:
    async with engine() as one:
        await one.say(2**31 - 1, request_id="last")
        with pytest.raises(TurnNumberTaken) as taken:
            await one.say(1, request_id="other")
        assert taken.value.body.next_turn is None

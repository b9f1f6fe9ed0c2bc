"""Two paths may answer a turn: one does, and both remember it."""

import asyncio
from typing import TYPE_CHECKING

from dialog_contracts.http import TurnRecord
from dialog_engine.redis_store import ClaimState

if TYPE_CHECKING:
    from conftest import Opens


async def test_the_loser_of_the_claim_says_nothing(engine: "Opens") -> None:
    async with engine() as one:
        one.shelf.claims = [ClaimState.HELD_BY_OTHER]
        frames = await one.say(1)
        assert frames.names == ["control", "error"]
        assert "answered_elsewhere" in frames[1].data
        assert await one.memory.find("s", 1) is None


async def test_without_redis_the_engine_goes_on_and_stops_when_it_turns_out_that_the_other_path_answers(
    engine: "Opens",
) -> None:
    async with engine(["word "] * 100, gap_s=0.02) as one:
        one.shelf.claims = [ClaimState.UNKNOWN, ClaimState.UNKNOWN, ClaimState.HELD_BY_OTHER]
        frames = await one.say(1)
        assert "text-delta" in frames.names
        assert len(frames) < 30
        assert "answered_elsewhere" in frames[-1].data
        assert await one.memory.find("s", 1) is None, (
            "the other path's reply is the one that is remembered"
        )


async def test_without_redis_the_engine_goes_on_and_stays_when_the_turn_is_its_own(
    engine: "Opens",
) -> None:
    async with engine(["word "] * 20, gap_s=0.02) as one:
        one.shelf.claims = [ClaimState.UNKNOWN, ClaimState.ACQUIRED]
        frames = await one.say(1)
        assert frames.names[-1] == "done"
        assert frames.text == "word " * 20


async def test_a_caller_that_is_cut_off_from_a_turn_without_claim_may_be_having_it_answered_elsewhere(
    engine: "Opens",
) -> None:
    async with engine(["word "] * 100, gap_s=0.02) as one:
        one.shelf.claims = [ClaimState.UNKNOWN]
        async with one.open(1) as batches:
            async for batch in batches:
                if any(frame.event == "text-delta" for frame in batch):
                    break
        await asyncio.sleep(0.05)
        assert one.brain.open == 0
        assert one.shelf.samples[-1].outcome == "cancelled"
        assert await one.memory.find("s", 1) is None


async def test_turns_that_the_other_path_answered_are_in_the_prompt_and_in_the_database(
    engine: "Opens",
) -> None:
    theirs = TurnRecord(
        turn=2, user="and the second?", reply="Legacy says two.", ts=5, path="legacy"
    )
    async with engine() as one:
        await one.say(1, "the first?", flags={})
        await asyncio.sleep(0.02)
        # It comes while the third turn is asked already: the fourth knows it.
        await one.say(3, "the third?", flags={})
        one.shelf.history["s"][2] = theirs
        await one.say(4, "the fourth?", flags={})
        asked = [message.content for message in one.brain.prompts[-1] if message.role == "user"]
        assert asked == ["the first?", "and the second?", "the third?", "the fourth?"]
        stored = await one.memory.find("s", 2)
        assert stored is not None
        assert stored.record() == theirs

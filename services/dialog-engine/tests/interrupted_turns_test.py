"""Turns that are stopped, by a newer one, by STOP, or by a caller who leaves."""

import asyncio
from typing import TYPE_CHECKING, cast

from dialog_contracts.ingest import Stop, StopResult
from dialog_engine.output.connection import OutputConnection
from dialog_engine.redis_store import ClaimState

if TYPE_CHECKING:
    from conftest import Opens


async def test_a_new_turn_interrupts_and_the_prompt_knows_what_was_heard(engine: "Opens") -> None:
    words = [
        "one ",
        "two ",
        "three ",
        "four ",
        "five ",
        "six ",
        "seven ",
        "eight ",
        "nine ",
        "ten. ",
    ] * 5
    async with engine(words) as one:
        first = await one.say(1)
        assert first.text == "".join(words)
        await asyncio.sleep(0.15)
        await one.say(2, "stop that")
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert stored.interrupted
        assert stored.revision == 1
        assert "".join(words).startswith(stored.reply)
        assert 0 < len(stored.reply) < 60
        assert one.brain.prompts[1][2].content == stored.reply + "… [interrupted]"


class Replies(list[str]):
    """A link that only keeps what is sent over it."""

    def send(self, frame: str) -> None:
        self.append(StopResult.from_json(frame).outcome)


async def test_a_caller_that_leaves_early_cancels_and_may_ask_again(engine: "Opens") -> None:
    async with engine(gap_s=60) as one:
        early = asyncio.create_task(one.say(1, request_id="r1"))
        async with asyncio.timeout(5):
            while not one.brain.open:
                await asyncio.sleep(0.005)
            early.cancel()
            await asyncio.gather(early, return_exceptions=True)
            while one.brain.open:
                await asyncio.sleep(0.005)
        assert await one.memory.find("s", 1) is None
        one.brain.gap_s = 0
        assert (await one.say(1, request_id="r1")).text == "Hello there, friend."


async def test_a_caller_that_leaves_later_does_not(engine: "Opens") -> None:
    async with engine(gap_s=0.3) as one:
        late = asyncio.create_task(one.say(1, flags={}))
        # In the middle of its words.
        await asyncio.sleep(0.7)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        async with asyncio.timeout(5):
            while (stored := await one.memory.find("s", 1)) is None:
                await asyncio.sleep(0.02)
        assert stored.reply == "Hello there, friend."


async def test_a_voice_file_that_was_cut_leaves_what_was_heard_in_the_database_and_in_the_next_prompt(
    engine: "Opens",
) -> None:
    async with engine(["One ", "two ", "three."]) as one:
        await one.say(1, flags={}, request_id="r-1")
        await one.say(2, flags={})
        link = cast(OutputConnection, Replies())
        one.service._output_events._on_stop(
            Stop(session_id="s", turn=1, heard_text="One two"), link
        )
        one.service._output_events._on_stop(
            Stop(session_id="s", turn=2, heard_text="Something else"), link
        )
        one.service._output_events._on_stop(Stop(session_id="s", turn=9, heard_text=""), link)
        one.service._output_events._on_stop(Stop(session_id="nobody", turn=1, heard_text=""), link)
        await asyncio.sleep(0.05)
        stored = [await one.memory.find("s", turn) for turn in (1, 2)]
        assert [(each.reply, each.interrupted, each.request_id) for each in stored if each] == [
            ("One two", True, "r-1"),
            ("One two three.", False, None),
        ]
        await one.say(3, flags={})
        assert [
            message.content for message in one.brain.prompts[-1] if message.role == "assistant"
        ] == [
            "One two… [interrupted]",
            "One two three.",
        ]
    async with engine() as again:
        stored_again = await again.memory.find("s", 1)
        assert stored_again is not None
        assert stored_again.reply == "One two"


async def test_a_turn_that_was_not_stored_is_not_stored_later_because_it_was_stopped(
    engine: "Opens",
) -> None:
    async with engine(["word "] * 50) as one:

        async def not_ours(session_id: str, epoch: int) -> bool:
            await asyncio.sleep(0.05)
            return False

        one.service._leases.holds = not_ours  # type: ignore[method-assign]
        saying = asyncio.create_task(one.say(1))
        await asyncio.sleep(0.03)
        assert one.service._output_events.stop("s", 1, "moved") == 1
        frames = await saying
        assert frames.error.code == "not_stored"
        await asyncio.sleep(0.15)
        assert await one.memory.find("s", 1) is None
        assert one.shelf.history.get("s", {}) == {}


async def test_a_turn_that_is_stopped_before_its_first_word_is_nobody_elses_any_more(
    engine: "Opens",
) -> None:
    """Its caller may be about to give it to the other path.

    The claim is what keeps it from there.
    """
    async with engine(["word "], gap_s=3600) as one:
        claimed: list[str] = []
        ask = one.shelf.claim_reply

        async def noted(correlation_id: str) -> ClaimState:
            claimed.append(correlation_id)
            return await ask(correlation_id)

        one.shelf.claim_reply = noted  # type: ignore[method-assign]
        talking = asyncio.create_task(one.say(1))
        async with asyncio.timeout(10):
            while not one.brain.open:
                await asyncio.sleep(0.001)
        assert claimed == []
        assert one.service._output_events.stop("s", None, "test") == 1
        assert (await talking).done.stats.interrupted
        assert claimed == ["s#1"]

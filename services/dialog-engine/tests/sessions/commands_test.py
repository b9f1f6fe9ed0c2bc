"""STOP and RESET as texts of a conversation."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Opens


async def test_the_command_stop_stops(engine: "Opens") -> None:
    async with engine(["word "] * 200, gap_s=0.005) as one:
        talking = asyncio.create_task(one.say(1))
        await asyncio.sleep(0.05)
        frames = await one.say(2, "STOP", type="COMMAND")
        assert '"interrupted":true' in frames[-1].data
        assert (await talking)[-1].event == "done"
        assert '"interrupted":false' in (await one.say(2, "STOP", type="COMMAND"))[-1].data


async def test_commands_say_speaks_verbatim_and_reset_forgets(engine: "Opens") -> None:
    async with engine() as one:
        frames = await one.say(1, "SAY", type="COMMAND", meta={"text": "Welcome, everyone."})
        assert frames.text == "Welcome, everyone."
        assert one.brain.prompts == []
        await one.say(2, "hello", flags={})
        assert (await one.say(3, "RESET", type="COMMAND")).names == ["control", "done"]
        await one.say(4, "who am I?", flags={})
        assert [message.content for message in one.brain.prompts[-1][1:]] == ["who am I?"]

"""Two engines and the Redis between them.

What a session's next owner knows of a turn that its owner before still spoke.
"""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_contracts.http import TurnRecord
from dialog_engine.errors import Draining
from dialog_llm.provider import Message
from dialog_redis import active_playback
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient
from dialog_redis.work_queue import commands

if TYPE_CHECKING:
    from conftest import Engine

WHOLE = "word " * 60


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes at all comes sooner, also on a machine that stands still for a moment."""
    monkeypatch.setattr(active_playback, "WAIT_TIMEOUT_S", 10)


def replies(prompt: list[Message]) -> list[str]:
    return [message.content for message in prompt if message.role == "assistant"]


async def speaking_at_one_that_leaves(one: "Engine") -> None:
    """Turn 1 is written, and still spoken, when its engine is told to end.

    The session is anybody's then.
    """
    assert (await one.say(1)).text == WHOLE
    await asyncio.sleep(0.1)
    one.service.start_draining()
    async with asyncio.timeout(2):
        while one.owner.session_ids:
            await asyncio.sleep(0.005)
    with pytest.raises(Draining):
        await one.say(2)


async def test_a_turn_that_the_new_owner_cuts_off_is_in_its_prompts_and_its_database_as_it_was_heard(
    pair: "tuple[Engine, Engine]",
) -> None:
    one, other = pair
    await speaking_at_one_that_leaves(one)
    asking = asyncio.create_task(other.say(2))
    await asyncio.sleep(0.05)
    # What output-handler does when it sees the new owner's START.
    assert one.service._output_events.stop("s", 1, "moved") == 1
    assert (await asking).text == "Hello."
    await other.say(3)
    stored = await one.memory.find("s", 1)
    assert stored is not None
    assert stored.interrupted
    assert 0 < len(stored.reply) < len(WHOLE) / 2
    heard = stored.reply + "… [interrupted]"
    assert [replies(prompt)[0] for prompt in other.brain.prompts] == [heard, heard]
    adopted = await other.memory.find("s", 1)
    assert adopted is not None
    assert (adopted.reply, adopted.interrupted) == (stored.reply, True)


async def test_a_turn_that_nobody_cuts_off_is_waited_for_a_moment_and_stays_whole(
    pair: "tuple[Engine, Engine]", monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    await speaking_at_one_that_leaves(one)
    monkeypatch.setattr(active_playback, "WAIT_TIMEOUT_S", 1.5)
    began = asyncio.get_running_loop().time()
    await other.say(2)
    assert asyncio.get_running_loop().time() - began >= active_playback.WAIT_TIMEOUT_S
    began = asyncio.get_running_loop().time()
    await other.say(3)
    assert asyncio.get_running_loop().time() - began < active_playback.WAIT_TIMEOUT_S, (
        "once is enough"
    )
    assert replies(other.brain.prompts[0]) == [WHOLE]


async def test_an_answer_of_the_chain_that_is_cut_off_is_in_the_next_prompt_as_it_was_heard(
    pair: "tuple[Engine, Engine]", link: RedisClient
) -> None:
    """Its voice file still sounds when the engine answers again."""
    (_, engine), sounds = pair, ActivePlayback(link)
    record = TurnRecord(turn=1, user="q", reply=WHOLE, ts=1, path="legacy")
    await commands.execute(link.client, commands.store_turns("s", [record]))
    await sounds.started("s", 1)
    asking = asyncio.create_task(engine.say(2))
    await asyncio.sleep(0.1)
    assert engine.brain.prompts == [], "it waits for the words"
    # What output-handler does when it sees the START of turn 2.
    heard = record.model_copy(update={"reply": "word word ", "interrupted": True})
    await commands.execute(link.client, commands.store_turns("s", [heard]))
    await sounds.finished("s", 1)
    assert (await asking).text == "Hello."
    assert replies(engine.brain.prompts[0]) == ["word word … [interrupted]"]
    stored = await engine.memory.find("s", 1)
    assert stored is not None
    assert (stored.reply, stored.interrupted) == ("word word ", True)


async def test_an_answer_of_the_chain_that_was_heard_to_its_end_delays_nothing(
    pair: "tuple[Engine, Engine]", link: RedisClient
) -> None:
    _, engine = pair
    record = TurnRecord(turn=1, user="q", reply=WHOLE, ts=1, path="legacy")
    await commands.execute(link.client, commands.store_turns("s", [record]))
    began = asyncio.get_running_loop().time()
    await engine.say(2)
    assert asyncio.get_running_loop().time() - began < active_playback.WAIT_TIMEOUT_S
    assert replies(engine.brain.prompts[0]) == [WHOLE]


async def test_a_session_in_silence_moves_without_a_wait(pair: "tuple[Engine, Engine]") -> None:
    one, other = pair
    await one.say(1, flags={})
    one.service.start_draining()
    async with asyncio.timeout(2):
        while one.owner.session_ids:
            await asyncio.sleep(0.005)
    began = asyncio.get_running_loop().time()
    await other.say(2)
    assert asyncio.get_running_loop().time() - began < active_playback.WAIT_TIMEOUT_S
    assert replies(other.brain.prompts[0]) == [WHOLE]

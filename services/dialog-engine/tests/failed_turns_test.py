"""A model or a disk that fails: one error, and nothing that was said is lost or said twice."""

from typing import TYPE_CHECKING

import apsw
import pytest

from dialog_engine.errors import TurnNumberTaken
from dialog_engine.stored_turn import StoredTurn
from dialog_llm.errors import ProviderError

if TYPE_CHECKING:
    from conftest import Opens


async def test_a_model_that_fails_before_its_first_word_is_one_error_and_nothing_is_kept(
    engine: "Opens",
) -> None:
    async with engine([ProviderError("x", "server_error")]) as one:
        frames = await one.say(1, request_id="r")
        assert frames.names == ["control", "error"]
        assert frames.error.retryable
        one.brain.pieces = ["Better now."]
        assert (await one.say(1, request_id="r", flags={})).text == "Better now."


async def test_a_model_that_fails_later_leaves_what_it_said(engine: "Opens") -> None:
    async with engine(["Half an ", ProviderError("x", "cut_stream")]) as one:
        frames = await one.say(1, flags={})
        assert frames.names == ["control", "text-delta", "error"]
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert (stored.reply, stored.interrupted) == ("Half an ", True)
        # Its number is taken: the next message must not be written over it, nor get lost under it.
        with pytest.raises(TurnNumberTaken):
            await one.say(1, "another", flags={})
        one.brain.pieces = ["Whole."]
        assert (await one.say(2, "another", flags={})).text == "Whole."
        again = await one.memory.find("s", 2)
        assert again is not None
        assert again.user == "another"


async def test_a_disk_that_is_full_fails_the_turn_and_leaves_no_trace_of_it(
    engine: "Opens",
) -> None:
    async with engine() as one:
        await one.say(1, "first", flags={})
        commit = one.memory.commit

        async def full(_: StoredTurn) -> None:
            raise apsw.FullError("database or disk is full")

        one.memory.commit = full  # type: ignore[method-assign,assignment]
        failed = await one.say(2, "second", request_id="r-2", flags={})
        assert failed.names[-1] == "error"
        assert "could not be stored" in failed.error.message
        one.memory.commit = commit  # type: ignore[method-assign]
        again = await one.say(2, "second", request_id="r-2", flags={})
        assert (again.names[-1], again[0].id) == ("done", "2.0"), (
            "the same message may come again under its number"
        )
        prompts = [message.content for message in one.brain.prompts[-1]]
        assert prompts.count("second") == 1, (
            "the turn that history never saw is not in the prompt either"
        )


async def test_done_names_who_answered_and_who_should_have(engine: "Opens") -> None:
    async with engine() as one:
        stats = (await one.say(1)).done.stats
        assert (stats.llm, stats.voice, stats.instead_of) == ("scripted", "scripted", None)
        said = (await one.say(2, "SAY", type="COMMAND", meta={"text": "As it is."})).done.stats
        assert (said.llm, said.voice) == (None, "scripted")

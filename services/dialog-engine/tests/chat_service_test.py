"""Turns through the service: what is said, remembered, published and refused."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import TextDeltaEvent
from dialog_engine.errors import ClientBusy, TooManyTurns
from service_runtime.http.errors import InvalidField

if TYPE_CHECKING:
    from conftest import Opens


async def test_a_turn_answers_and_is_stored_before_done(engine: "Opens") -> None:
    async with engine() as one:
        frames = await one.say(1)
        assert frames.text == "Hello there, friend."
        assert frames.names[0] == "control"
        assert frames.names[-1] == "done"
        assert [frame.id for frame in frames] == [f"1.{n}" for n in range(len(frames))]
        deltas = [frame.parse() for frame in frames if frame.event == "text-delta"]
        assert [event.eos for event in deltas if isinstance(event, TextDeltaEvent)] == [False] * (
            len(deltas) - 1
        ) + [True]
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert (stored.user, stored.reply, stored.interrupted) == (
            "hi",
            "Hello there, friend.",
            False,
        )
        assert frames.done.stats.tokens == 3
        assert frames.done.stats.first_audio_ms is not None


async def test_the_next_prompt_holds_the_turns_before(engine: "Opens") -> None:
    async with engine() as one:
        await one.say(1, "my name is Tom", flags={})
        await one.say(2, "what is my name?", flags={})
        assert [message.content for message in one.brain.prompts[1][1:]] == [
            "my name is Tom",
            "Hello there, friend.",
            "what is my name?",
        ]
    # … also after a restart.
    async with engine() as again:
        await again.say(3, "and now?", flags={})
        assert [message.content for message in again.brain.prompts[0][1:]][0] == "my name is Tom"


async def test_a_whole_file_is_asked_for_once_the_text_is_done_and_only_where_somebody_makes_it(
    engine: "Opens",
) -> None:
    async with engine() as one:
        frames = await one.say(1, "hi", flags={})
        assert frames.done.stats.voice == "file"
        await asyncio.sleep(0.02)
        assert [(asked.message_id, asked.text, asked.meta.turn) for asked in one.shelf.voices] == [
            ("s#1", "Hello there, friend.", 1)
        ]
        await one.say(2, "hi")
        assert len(one.shelf.voices) == 1, "streamed speech needs no file"
    async with engine(legacy_enabled=False) as one:
        await one.say(3, "hi", flags={})
        assert one.shelf.voices == []


async def test_history_and_one_sample_a_turn_are_published(engine: "Opens") -> None:
    async with engine() as one:
        await one.say(1, "a", flags={})
        await one.say(2, "b", flags={})
        await asyncio.sleep(0.05)
        assert [(record.turn, record.user) for record in one.shelf.history["s"].values()] == [
            (1, "a"),
            (2, "b"),
        ]
        assert [(sample.turn, sample.outcome, sample.path) for sample in one.shelf.samples] == [
            (1, "completed", "sync"),
            (2, "completed", "sync"),
        ]


async def test_more_turns_than_the_limit_are_refused_and_the_others_go_on(engine: "Opens") -> None:
    async with engine(gap_s=0.05, max_running_turns=2) as one:
        running = [asyncio.create_task(one.say(1, session=f"s{n}", flags={})) for n in range(2)]
        await asyncio.sleep(0.02)
        with pytest.raises(TooManyTurns):
            await one.say(1, session="one-too-many")
        assert [frames.names[-1] for frames in await asyncio.gather(*running)] == ["done", "done"]
        assert (await one.say(1, session="one-too-many", flags={})).text


async def test_a_request_without_a_number_is_refused_by_field(engine: "Opens") -> None:
    async with engine() as one:
        with pytest.raises(InvalidField) as caught:
            async with one.service.open(ChatRequest(session_id="s", content="hi"), None, None):
                raise AssertionError
        assert caught.value.body.field == "turn"


async def test_a_client_has_so_many_turns_until_their_voices_are_over_and_others_go_on(
    engine: "Opens",
) -> None:
    meta = {"client": "10.0.0.1"}
    async with engine(["word "] * 40, max_client_turns=2) as one:
        for session in ("a", "b"):
            assert (await one.say(1, session=session, meta=meta)).names[-1] == "done"
        for session in ("c", "d"):
            with pytest.raises(
                ClientBusy, match="2 turns at once is the limit of a client address"
            ):
                await one.say(1, session=session, meta=meta)
        assert (await one.say(1, session="c", meta={"client": "10.0.0.2"})).names[-1] == "done"
        # A turn that cuts off another one of the same client takes its place.
        assert (await one.say(2, session="a", meta=meta)).names[-1] == "done"
    assert one.service._running.clients == 0

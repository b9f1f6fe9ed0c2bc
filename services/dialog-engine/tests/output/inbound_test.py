"""STOP and PAUSE from output-handlers reach the turn they name, and are answered."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from dialog_contracts.ingest import PlaybackControl, Stop, StopResult
from dialog_engine.errors import TurnInProgress
from dialog_engine.output.connection import OutputConnection

if TYPE_CHECKING:
    from conftest import Opens


class Replies(list[str]):
    """A link that only keeps what is sent over it."""

    def send(self, frame: str) -> None:
        self.append(StopResult.from_json(frame).outcome)


async def test_stop_ends_the_running_turn_and_only_that_one(engine: "Opens") -> None:
    async with engine(["word "] * 500, gap_s=0.005) as one:
        talking = [asyncio.create_task(one.say(1, session=name)) for name in ("a", "b")]
        await asyncio.sleep(0.1)
        assert one.service._output_events.stop("a", 7, "test") is None
        assert one.service._output_events.stop("a", 1, "test") == 1
        assert one.service._output_events.stop("a", None, "test") is None
        frames = await talking[0]
        assert frames.done.stats.interrupted
        assert not talking[1].done()
        assert one.brain.open == 1
        one.service._output_events.stop("b", None, "test")
        await talking[1]


async def test_without_barge_in_stop_and_new_turns_are_refused(engine: "Opens") -> None:
    async with engine(["word "] * 50, gap_s=0.005) as one:
        talking = asyncio.create_task(one.say(1, flags={"SYNC_TTS_STREAMING": True}))
        await asyncio.sleep(0.05)
        with pytest.raises(TurnInProgress) as refused:
            one.service._output_events.stop("s", None, "test")
        assert refused.value.body.code == "barge_in_off"
        with pytest.raises(TurnInProgress) as busy:
            await one.say(2)
        assert busy.value.body.code == "busy"
        await talking


async def test_a_stop_that_asks_is_told_what_became_of_it(engine: "Opens") -> None:
    replies = Replies()

    def asked(session: str, turn: int | None = None) -> str:
        one.service._output_events._on_stop(
            Stop(session_id=session, turn=turn, ask="a1"), cast(OutputConnection, replies)
        )
        return replies[-1]

    async with engine(["word "] * 200, gap_s=0.005) as one:
        talking = [
            asyncio.create_task(one.say(1)),
            asyncio.create_task(one.say(1, session="calm", flags={"SYNC_TTS_STREAMING": True})),
        ]
        await asyncio.sleep(0.05)
        assert [asked("nobody"), asked("s", 7), asked("calm"), asked("s", 1), asked("s")] == [
            "unknown",
            "nothing_sounding",
            "refused",
            "stopped",
            "nothing_sounding",
        ]
        one.service._output_events._on_stop(Stop(session_id="s"), cast(OutputConnection, replies))
        assert len(replies) == 5, "one that does not ask is not answered"
        await asyncio.gather(*talking)


async def test_a_paused_turn_is_still_there_after_its_time_and_remembers_where_it_stood(
    engine: "Opens",
) -> None:
    async with engine(["one ", "two ", "three ", "four ", "five. "] * 5) as one:
        whole = await one.say(1)
        await asyncio.sleep(0.3)
        replies = Replies()
        link = cast(OutputConnection, replies)
        one.service._output_events._on_pause(
            PlaybackControl(action="PAUSE", session_id="s", turn=1, ask="a"), link
        )
        await asyncio.sleep(1.5)
        one.service._output_events._on_pause(
            PlaybackControl(action="PAUSE", session_id="s", turn=1, ask="a"), link
        )
        one.service._output_events._on_pause(
            PlaybackControl(action="PAUSE", session_id="nobody", ask="a"), link
        )
        assert replies == ["stopped", "nothing_sounding", "unknown"]
        assert one.service._output_events.stop("s", 1, "speech") == 1
        await asyncio.sleep(0.1)
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert stored.interrupted
        assert whole.text.startswith(stored.reply)
        assert 10 < len(stored.reply) < 40, (
            "300 ms at 20 ms a character, wherever the clock is by now"
        )

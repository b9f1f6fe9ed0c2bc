"""At a real Valkey.

The history that everybody reads holds what was heard of a voice file that was cut.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dialog_contracts.http import TurnRecord
from dialog_contracts.ingest import Stop
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient
from dialog_redis.session_history import SessionHistory
from dialog_redis.work_queue import commands
from dialog_telemetry import metrics
from output_handler.legacy.reply_truncation import ReplyTruncation

TURNS = [
    TurnRecord(turn=1, user="q", reply="first", ts=1),
    TurnRecord(
        turn=2, user="q", reply="Tonight we play a riddle.", ts=2, path="legacy", request_id="r-2"
    ),
    TurnRecord(turn=3, user="q", reply="third", ts=3),
]


@pytest.fixture
async def words(link: RedisClient) -> AsyncIterator[ReplyTruncation]:
    made = ReplyTruncation(link)
    yield made
    await made.aclose()


@pytest.fixture
async def history(link: RedisClient) -> SessionHistory:
    for effect in commands.store_turns("live-001", TURNS):
        await link.client.execute_command(*effect)  # type: ignore[no-untyped-call]
    return SessionHistory(link)


async def filed(words: ReplyTruncation, turn: int, heard: str) -> None:
    words.truncate(Stop(session_id="live-001", turn=turn, heard_text=heard))
    await words._tasks.wait_idle()


async def test_the_turn_holds_what_was_heard_and_the_others_are_as_they_were(
    words: ReplyTruncation, history: SessionHistory
) -> None:
    await filed(words, 2, "Tonight we")
    cut = TURNS[1].model_copy(update={"reply": "Tonight we", "interrupted": True})
    assert await history.turns("live-001") == [TURNS[0], cut, TURNS[2]]
    await filed(words, 2, "Tonight we play")
    assert (await history.turns("live-001"))[1] == cut, "what was cut is not made longer"


@pytest.mark.parametrize(
    ("turn", "heard"), [(2, TURNS[1].reply), (2, "something else"), (9, "Tonight")]
)
async def test_what_was_heard_to_its_end_or_is_not_known_changes_nothing(
    words: ReplyTruncation, history: SessionHistory, turn: int, heard: str
) -> None:
    await filed(words, turn, heard)
    assert await history.turns("live-001") == TURNS


async def test_whoever_begins_the_next_turn_is_told_when_the_words_are_there(
    link: RedisClient, words: ReplyTruncation, history: SessionHistory
) -> None:
    sounding = ActivePlayback(link)
    await sounding.started("live-001", 2)
    seen: list[TurnRecord] = []

    async def next_turn() -> None:
        await sounding.wait_finished("live-001", 2)
        seen.extend(await history.turns("live-001"))

    begins = asyncio.create_task(next_turn())
    await asyncio.sleep(0.05)
    await filed(words, 2, "Tonight we")
    await begins
    assert [turn.reply for turn in seen] == ["first", "Tonight we", "third"]


async def test_without_redis_it_is_counted(no_link: RedisClient) -> None:
    before = metrics.TRUNCATIONS_FAILED._value.get()
    words = ReplyTruncation(no_link)
    await filed(words, 2, "Tonight")
    await words.aclose()
    assert metrics.TRUNCATIONS_FAILED._value.get() == before + 1

"""A file is sent a little ahead of its playback, until it is stopped or replaced."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from dialog_contracts import limits
from dialog_contracts.ingest import Start, TextDelta
from dialog_media.playback_clock import LEAD_MS
from output_handler.legacy.wav_file import WavFile
from output_handler.legacy.wav_playback import publish_playing, stream_wav
from output_handler.playback.turn import PlaybackTurn
from output_handler.testing.fake_legacy import RecordedPlayback, wav
from output_handler.testing.session_driver import FLAGS
from output_handler.viewers.viewer import Viewer

if TYPE_CHECKING:
    from conftest import Room, Sent

Listen = Callable[..., Awaitable[tuple[Viewer, "Sent"]]]
pytestmark = pytest.mark.looptime


def opened(room: "Room", turn: int = 1, ms: int = 2_000) -> tuple[PlaybackTurn, WavFile]:
    start = Start(session_id="live-001", turn=turn, epoch=0, flags=FLAGS, path="legacy")
    text = TextDelta(session_id="live-001", turn=turn, content="Hello there.", eos=True)
    made = room.session.open_file(start, text)
    room.session.take_file(ms)
    return made, WavFile(wav(ms))


async def test_all_of_it_is_sent_in_order_with_the_place_of_its_words(
    room: "Room", listen: Listen
) -> None:
    _, sent = await listen(room.session)
    turn, file = opened(room)
    assert await stream_wav(room.session, turn, file)
    await asyncio.sleep(0.01)
    chunks = sent.chunks()
    assert [chunk["seq"] for chunk in chunks] == list(range(2_000 // limits.CHUNK_MS))
    assert chunks[-1]["textEnd"] == len("Hello there.")


async def test_it_is_never_further_ahead_than_the_lead(room: "Room", listen: Listen) -> None:
    _, sent = await listen(room.session)
    turn, file = opened(room)
    playing = asyncio.create_task(stream_wav(room.session, turn, file))
    for _ in range(20):
        await asyncio.sleep(0.1)
        ahead = turn.sent_ms - turn.position_ms(room.session.clock())
        assert ahead <= LEAD_MS + 2 * limits.CHUNK_MS
    assert await playing
    assert json.loads(str(sent[0]))["type"]


@pytest.mark.parametrize("how", ["stopped", "replaced"])
async def test_a_turn_that_is_stopped_or_replaced_gets_no_further_chunk(
    room: "Room", listen: Listen, how: str
) -> None:
    _, sent = await listen(room.session)
    turn, file = opened(room)
    playing = asyncio.create_task(stream_wav(room.session, turn, file))
    await asyncio.sleep(0.5)
    if how == "stopped":
        assert room.session.stop(1, "viewer")
    else:
        opened(room, turn=2)
    before = len(sent.chunks())
    assert not await playing
    assert len(sent.chunks()) == before


async def test_for_legacy_viewers_alone_no_chunk_is_made(room: "Room", listen: Listen) -> None:
    await listen(room.session, legacy=True)
    turn, file = opened(room)
    assert await stream_wav(room.session, turn, file)
    assert turn.sent_ms == 0


async def test_others_know_of_the_turn_until_it_was_played_and_a_stop_leaves_that_to_its_report(
    room: "Room",
) -> None:
    for turn_number, stopped in ((1, False), (2, True)):
        playback = RecordedPlayback()
        turn, file = opened(room, turn_number, 600)
        telling = asyncio.create_task(publish_playing(room.session, turn, playback))
        await stream_wav(room.session, turn, file)
        if stopped:
            room.session.stop(turn_number, "viewer")
        else:
            room.session.abandon()
        await asyncio.sleep(1.5)
        assert telling.done()
        assert playback.events == [("begins", turn_number)] + (
            [] if stopped else [("over", turn_number)]
        )

"""An engine's turn whose voice the chain makes.

Its words at once, its sound when the file is there.
"""

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from dialog_contracts.http import FlagSet
from dialog_telemetry import metrics
from output_handler.testing.fake_legacy import response
from output_handler.testing.session_driver import FLAGS

if TYPE_CHECKING:
    from conftest import Listen, Room, Sent

pytestmark = pytest.mark.looptime

WHOLE_FILE = FlagSet()


async def said(
    room: "Room", listen: "Listen", flags: FlagSet = WHOLE_FILE
) -> tuple["Sent", "Sent"]:
    """An engine has said a turn whose voice is to follow.

    Gives what viewers of both dialects were sent, the newer first.
    """
    _, sent = await listen(room.session)
    _, older = await listen(room.session, legacy=True)
    room.stage.start(1, flags=flags)
    room.stage.text("今晚玩解谜", eos=True)
    room.stage.end(1, voice_follows=True)
    return sent, older


async def test_the_voice_of_an_engines_turn_is_played_into_it_and_end_waits(
    room: "Room", listen: "Listen"
) -> None:
    sent, older = await said(room, listen)
    await asyncio.sleep(3)
    assert sent.told() == ["STATE IDLE", "START 1", "STATE THINKING", "TEXT 今晚玩解谜"]
    assert older == []
    room.session.engine_lost()
    await room.voiced(1, 1_000, text="", of_engine=True)
    await asyncio.sleep(0.1)
    assert older.told() == ["success 今晚玩解谜", "audio_chunk", "audio_complete"]
    await asyncio.sleep(0.5)
    end = next(json.loads(raw) for raw in sent if '"END"' in str(raw))
    assert end["audioMs"] == 1_000
    await asyncio.sleep(0.5)
    assert sent.without_chunks() == ["STATE SPEAKING", "END 1", "STATE IDLE"]
    assert room.heard == ["live-001#1"]


async def test_a_voice_that_is_there_before_end_waits_for_it(
    room: "Room", listen: "Listen"
) -> None:
    _, sent = await listen(room.session)
    room.stage.start(1, flags=WHOLE_FILE)
    room.stage.text("今晚玩解谜", eos=True)
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(1)
    assert "STATE SPEAKING" not in sent.told()
    room.stage.end(1, voice_follows=True)
    await asyncio.sleep(1)
    assert sent.without_chunks() == ["STATE SPEAKING", "END 1", "STATE IDLE"]


async def test_a_voice_that_does_not_come_leaves_the_text(room: "Room", listen: "Listen") -> None:
    missing = metrics.LEGACY_RESPONSES.labels(outcome="voice_missing")
    before = missing._value.get()
    sent, older = await said(room, listen)
    await asyncio.sleep(29)
    sent.clear()
    await asyncio.sleep(2)
    end = json.loads(sent[1])
    assert (end["action"], end["audioMs"]) == ("END", 0)
    assert sent.told() == ["ERROR voice_missing", "END 1", "STATE IDLE"]
    assert older.told() == ["success 今晚玩解谜"]
    assert missing._value.get() == before + 1
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(2)
    assert sent == []
    assert older == []


@pytest.mark.parametrize("how", ["stop", "turn"])
async def test_a_turn_that_waits_for_its_voice_can_be_ended(
    room: "Room", listen: "Listen", how: str
) -> None:
    sent, older = await said(room, listen, FLAGS)
    await asyncio.sleep(1)
    sent.clear()
    if how == "stop":
        assert room.session.stop(1, "x")
        await asyncio.sleep(0.01)
        assert sent.told() == ["STOP 1", "STATE INTERRUPTED", "STOP_ACK 1"]
        assert older.told() == ["success"]
    else:
        room.stage.start(2)
        await asyncio.sleep(0.01)
        assert sent.told() == ["END 1", "START 2", "STATE THINKING"]
        assert older.told() == ["success 今晚玩解谜"]
    await room.voiced(1, 200, of_engine=True)
    await asyncio.sleep(40)
    assert sent.without_chunks() == ([] if how == "turn" else ["STATE IDLE"])


async def test_an_error_in_place_of_a_voice_ends_the_turn_with_its_text(
    room: "Room", listen: "Listen"
) -> None:
    sent, older = await said(room, listen)
    await asyncio.sleep(0.1)
    sent.clear()
    room.player.on_response(
        response(1, error="no voice", code="ALL_PROVIDERS_FAILED", of_engine=True)
    )
    await asyncio.sleep(0.1)
    assert sent.told() == ["ERROR voice_missing", "END 1", "STATE IDLE"]
    assert older.told() == ["success 今晚玩解谜"]

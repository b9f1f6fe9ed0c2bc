import json
from base64 import b64decode
from collections.abc import AsyncGenerator

import pytest

from dialog_contracts.http import FlagSet
from dialog_engine.speech.chunker import AudioChunk
from dialog_engine.turn import output_messages
from dialog_engine.turn.request import TurnRequest
from dialog_llm.provider import Piece


async def nothing() -> AsyncGenerator[Piece, None]:
    return
    yield ""


@pytest.fixture
def request_() -> TurnRequest:
    return TurnRequest(
        session_id="live-001",
        turn=3,
        user_text="hello",
        request_id="r-1",
        flags=FlagSet(SYNC_TTS_STREAMING=True, generation=4),
        lang="en",
        traceparent=None,
        text=nothing,
        epoch=9,
    )


def test_start_carries_epoch_flags_and_the_position_for_a_late_subscriber(
    request_: TurnRequest,
) -> None:
    message = json.loads(output_messages.start(request_, None, 120))
    assert (message["action"], message["turn"], message["epoch"]) == ("START", 3, 9)
    assert (message["userText"], message["earMs"]) == ("hello", 120)
    assert message["flags"]["generation"] == 4
    assert json.loads(output_messages.start(request_, None, None)).get("earMs") is None


def test_a_chunk_carries_its_samples_shape_and_text(request_: TurnRequest) -> None:
    made = AudioChunk(
        seq=2, offset_ms=80, pcm=b"\1\2" * 4, viseme={"aa": 0.5}, text_start=1, text_end=4
    )
    message = json.loads(output_messages.chunk(request_, made))
    assert (message["type"], message["seq"], message["offsetMs"]) == ("SPEECH_CHUNK", 2, 80)
    assert b64decode(message["pcm"]) == b"\1\2" * 4
    assert (message["viseme"], message["textStart"], message["textEnd"]) == ({"aa": 0.5}, 1, 4)


def test_end_says_whether_a_file_follows_and_stop_ack_what_was_played(
    request_: TurnRequest,
) -> None:
    assert json.loads(output_messages.end(request_, 900)).get("voiceFollows") is None
    assert json.loads(output_messages.end(request_, 0, voice_follows=True))["voiceFollows"] is True
    assert json.loads(output_messages.stop_ack(request_, "Hel"))["heardText"] == "Hel"


def test_a_voice_request_is_answered_under_the_turns_own_name(request_: TurnRequest) -> None:
    asked = output_messages.voice_request(request_, "Hello there.", None)
    assert (asked.message_id, asked.task_id, asked.text) == (
        "live-001#3",
        "live-001",
        "Hello there.",
    )
    assert (asked.meta.from_channel, asked.meta.turn, asked.meta.request_id) == (
        "dialog_engine",
        3,
        "r-1",
    )

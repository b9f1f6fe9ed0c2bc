import asyncio
import io
import time
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.errors import ProviderError
from dialog_voice.providers.espeak.voice import EspeakVoice
from dialog_voice.providers.openai.voice import OpenAiSpeechConfig, OpenAiSpeechVoice
from dialog_voice.testing.openai_speech_server import WORD_MS, Behaviour, OpenAiSpeechServer, hum
from dialog_voice.testing.timed_speech import TimedSpeechSource
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio

_KEY = "sk-very-secret-0123456789"


@pytest.fixture
async def server() -> AsyncIterator[OpenAiSpeechServer]:
    async with OpenAiSpeechServer() as server:
        yield server


@pytest.fixture
async def voice(server: OpenAiSpeechServer) -> AsyncIterator[OpenAiSpeechVoice]:
    voice = OpenAiSpeechVoice(OpenAiSpeechConfig(server.address, _KEY, "tts-1", voice_zh="coral"))
    yield voice
    await voice.aclose()


async def _failure(
    voice: OpenAiSpeechVoice, text: str = "one two three four"
) -> tuple[ProviderError, list[VoiceAudio]]:
    pieces: list[VoiceAudio] = []
    try:
        async for piece in voice.synthesize(text, "en"):
            pieces.append(piece)
    except ProviderError as error:
        return error, pieces
    raise AssertionError("the voice did not fail")


@pytest.mark.parametrize("piece_bytes", [97, 333, 4801, 100_000])
async def test_audio_passes_through_whatever_the_network_makes_of_it(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice, piece_bytes: int
) -> None:
    text = "Hello there, you."
    server.script.append(Behaviour(piece_bytes=piece_bytes))
    pieces = [piece async for piece in voice.synthesize(text, "en")]
    assert b"".join(piece.pcm for piece in pieces) == hum(len(text.split()) * WORD_MS)
    assert all(len(piece.pcm) % 2 == 0 for piece in pieces)


async def test_the_request_is_what_openai_expects(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice
) -> None:
    instructed = OpenAiSpeechVoice(replace(voice._config, instructions="Be cheerful."))
    assert [piece async for piece in instructed.synthesize("你好", "zh-CN")]
    await instructed.aclose()
    assert server.requests[0].authorization == f"Bearer {_KEY}"
    assert server.requests[0].body == {
        "model": "tts-1",
        "input": "你好",
        "voice": "coral",
        "response_format": "pcm",
        "speed": 1.0,
        "instructions": "Be cheerful.",
    }


async def test_words_and_shapes_are_estimated_in_order(voice: OpenAiSpeechVoice) -> None:
    text = "Hello there, 你好。"
    pieces = [piece async for piece in voice.synthesize(text, "en")]
    words = [word for piece in pieces for word in piece.words]
    assert [text[word.text_start : word.text_end] for word in words][:2] == ["Hello", "there"]
    offsets = [cue.offset_ms for piece in pieces for cue in piece.visemes]
    assert offsets == sorted(offsets)
    assert len(offsets) > 8
    assert offsets[-1] < sum(len(piece.pcm) for piece in pieces) / BYTES_PER_MS


@pytest.mark.parametrize("wpm", [130, 150, 180, 220])
async def test_words_are_heard_when_they_are_said_at_whatever_speed_the_vendor_speaks(
    wpm: int,
) -> None:
    """It goes by letters for the first pieces, until the reading is there, and by the length soon after."""
    text = "Well, the funny thing about this game is that every single time I reach the last boss, somebody rings the bell tonight."
    async with TimedSpeechSource() as studio:
        recording = await studio.record(text, "en-us+f4", wpm)
    reader = ReferenceSynthesizer(EspeakVoice())
    await reader.warm()
    async with OpenAiSpeechServer(audio=lambda _: recording.pcm) as server:
        voice = OpenAiSpeechVoice(
            OpenAiSpeechConfig(server.address, _KEY, "tts-1"), reference=reader
        )
        pieces = [piece async for piece in voice.synthesize(text, "en")]
        await voice.aclose()
    await reader.aclose()
    assert b"".join(piece.pcm for piece in pieces) == recording.pcm
    errors = [
        abs(error) for error in recording.errors([word for piece in pieces for word in piece.words])
    ]
    # On a busy machine the reading comes when nearly a second has left by letters.
    assert max(errors) <= 3
    assert sum(error > 1 for error in errors) < 0.12 * len(errors)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour("status", status=401), "unauthorized"),
        (Behaviour("status", status=429), "rate_limited"),
        (Behaviour("status", status=429, message="insufficient_quota"), "quota"),
        (Behaviour("status", status=500), "server_error"),
        (Behaviour("status", status=400), "bad_request"),
        (Behaviour("empty"), "empty"),
        (Behaviour("json"), "bad_audio"),
    ],
)
async def test_failures_before_sound_have_their_reason(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice, behaviour: Behaviour, reason: str
) -> None:
    server.script.append(behaviour)
    error, pieces = await _failure(voice)
    assert error.reason == reason
    assert pieces == []


async def test_the_key_is_in_no_text(server: OpenAiSpeechServer, voice: OpenAiSpeechVoice) -> None:
    server.script.append(Behaviour("status", status=401, message=f"bad key {_KEY}" + "x" * 500))
    error, _ = await _failure(voice)
    assert _KEY not in str(error)
    assert _KEY not in repr(voice._config)
    assert len(error.detail) <= 200


async def test_a_connection_that_dies_in_the_middle_is_cut(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice
) -> None:
    server.script.append(Behaviour("cut"))
    error, pieces = await _failure(voice)
    assert error.reason == "cut_stream"
    assert pieces


async def test_a_slow_first_byte_is_given_up(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice, later: Callable[[float], None]
) -> None:
    patient = OpenAiSpeechVoice(replace(voice._config, first_audio_timeout_s=1_000))
    server.script.append(Behaviour(first_audio_s=3_600))
    failing = asyncio.create_task(_failure(patient))
    await server.received.wait()
    later(900)
    await asyncio.wait([failing], timeout=0.05)
    assert not failing.done()
    later(100)
    error, _ = await failing
    assert error.reason == "timeout_first_audio"
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)
    await patient.aclose()


async def test_a_stream_that_falls_silent_is_given_up(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice, later: Callable[[float], None]
) -> None:
    patient = OpenAiSpeechVoice(replace(voice._config, idle_gap_s=1_000))
    server.script.append(Behaviour("stall"))
    heard = asyncio.Event()

    async def listen() -> None:
        async for _ in patient.synthesize("one two three four", "en"):
            heard.set()

    listening = asyncio.create_task(listen())
    await heard.wait()
    await asyncio.wait([listening], timeout=0.05)
    assert not listening.done()
    while not listening.done():
        later(1_000)
        await asyncio.wait([listening], timeout=0.05)
    with pytest.raises(ProviderError) as raised:
        await listening
    assert raised.value.reason == "idle_gap"
    await patient.aclose()


async def test_leaving_closes_the_connection_at_once(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice
) -> None:
    server.script.append(Behaviour("stall"))
    async with aclosing(voice.synthesize("one two three four", "en")) as pieces:
        await anext(pieces)
        began = time.perf_counter()
    assert time.perf_counter() - began < 1
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


async def test_warming_opens_a_connection_and_notices_when_there_is_none(
    voice: OpenAiSpeechVoice,
) -> None:
    await voice.warm()
    absent = OpenAiSpeechVoice(OpenAiSpeechConfig("http://127.0.0.1:9/v1", _KEY, "tts-1"))
    with pytest.raises(ProviderError, match="connection"):
        await absent.warm()
    error, _ = await _failure(absent)
    assert error.reason == "connection"
    await absent.aclose()


async def test_nothing_to_say_needs_no_request(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice
) -> None:
    assert [piece async for piece in voice.synthesize(" 😀 ", "en")] == []
    assert server.requests == []


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(24_000)
        made.writeframes(pcm)
    return file.getvalue()


@pytest.mark.parametrize(
    "content_type",
    ["audio/pcm", "audio/mpeg", "application/json", "text/html", "application/octet-stream"],
)
@pytest.mark.parametrize("form", ["pcm", "wav"])
async def test_bytes_say_what_they_are_and_content_types_do_not(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice, content_type: str, form: str
) -> None:
    pcm = hum(300)
    server.script.append(
        Behaviour(content_type=content_type, whole=pcm if form == "pcm" else _wav(pcm))
    )
    assert b"".join([piece.pcm async for piece in voice.synthesize("Hello.", "en")]) == pcm


async def test_an_error_text_is_not_played_under_any_content_type(
    server: OpenAiSpeechServer, voice: OpenAiSpeechVoice
) -> None:
    server.script.append(
        Behaviour(content_type="audio/pcm", whole=b'{"error": "model not loaded"}')
    )
    with pytest.raises(ProviderError, match="bad_audio .*JSON.*model not loaded"):
        [piece async for piece in voice.synthesize("Hello.", "en")]

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

import pytest

from dialog_voice.errors import ProviderError
from dialog_voice.providers.edge.voice import EdgeConfig, EdgeVoice
from dialog_voice.testing.edge_server import Behaviour, EdgeServer
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio


@pytest.fixture
async def server() -> AsyncIterator[EdgeServer]:
    async with EdgeServer() as server:
        yield server


@pytest.fixture
async def voice(server: EdgeServer) -> EdgeVoice:
    voice = EdgeVoice(
        EdgeConfig(endpoint=server.address, first_audio_timeout_s=2.0, idle_gap_s=1.0)
    )
    await voice.warm()
    return voice


def _patient(voice: EdgeVoice, **limits: float) -> EdgeVoice:
    return EdgeVoice(replace(voice._config, **limits))  # type: ignore[arg-type]


async def _failure(
    voice: EdgeVoice, text: str = "one two three four"
) -> tuple[ProviderError, list[VoiceAudio]]:
    pieces: list[VoiceAudio] = []
    try:
        async for piece in voice.synthesize(text, "en"):
            pieces.append(piece)
    except ProviderError as error:
        return error, pieces
    raise AssertionError("the voice did not fail")


async def test_words_sound_and_are_found_in_the_text(server: EdgeServer, voice: EdgeVoice) -> None:
    text = "Hello & 你好 <b>, it's me."
    pieces = [piece async for piece in voice.synthesize(text, "zh-CN")]
    words = [word for piece in pieces for word in piece.words]
    assert [text[word.text_start : word.text_end] for word in words] == [
        "Hello",
        "你",
        "好",
        "b",
        "it's",
        "me",
    ]
    # 240 ms each; silence at the ends may be gone.
    duration_ms = sum(len(piece.pcm) for piece in pieces) / BYTES_PER_MS
    assert 6 * 240 - 200 < duration_ms <= 6 * 240
    gaps = [
        after.offset_ms - before.offset_ms for before, after in zip(words, words[1:], strict=False)
    ]
    assert gaps == pytest.approx([240] * 5, abs=60)
    assert (
        server.requests[0].voice
        == "Microsoft Server Speech Text to Speech Voice (zh-CN, XiaoyiNeural)"
    )
    assert "zh-CN" in server.requests[0].ssml


async def test_cues_never_lie_before_their_piece(voice: EdgeVoice) -> None:
    start_ms = 0.0
    visemes = 0
    async for piece in voice.synthesize("several words in a row", "en"):
        offsets = [cue.offset_ms for cue in piece.visemes] + [cue.offset_ms for cue in piece.words]
        assert all(start_ms - 0.01 <= offset for offset in offsets)
        visemes += len(piece.visemes)
        start_ms += len(piece.pcm) / BYTES_PER_MS
    assert visemes > 5


async def test_sound_comes_before_the_whole_was_received(
    server: EdgeServer, voice: EdgeVoice
) -> None:
    server.script.append(Behaviour("stall", words=1))
    async with aclosing(voice.synthesize("one two three", "en")) as pieces:
        first = await anext(pieces)
    assert len(first.pcm) >= 20 * BYTES_PER_MS
    assert not server.requests[0].finished


async def test_a_long_text_is_several_turns_with_one_timeline(
    server: EdgeServer, voice: EdgeVoice
) -> None:
    text = "This is a sentence. " * 50
    server.script += [Behaviour(word_ms=120)] * 2
    pieces = [piece async for piece in voice.synthesize(text, "en")]
    words = [word for piece in pieces for word in piece.words]
    assert len(server.requests) == 2
    assert len(words) == 200
    offsets = [word.offset_ms for word in words]
    assert offsets == sorted(offsets)
    assert words[-1].text_end > 990


async def test_nothing_to_say_needs_no_connection(server: EdgeServer, voice: EdgeVoice) -> None:
    assert [piece async for piece in voice.synthesize("😀 ...", "en")] == []
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "unauthorized"), (429, "rate_limited"), (503, "server_error"), (404, "bad_request")],
)
async def test_a_refused_handshake_has_its_reason(
    server: EdgeServer, voice: EdgeVoice, status: int, reason: str
) -> None:
    # Twice: edge-tts answers a 403 by setting its clock and trying once more.
    server.script += [Behaviour("status", status=status)] * 2
    error, pieces = await _failure(voice)
    assert error.reason == reason
    assert pieces == []


async def test_a_socket_that_dies_in_the_middle_is_cut(
    server: EdgeServer, voice: EdgeVoice
) -> None:
    server.script.append(Behaviour("cut", words=2))
    error, pieces = await _failure(voice)
    assert error.reason == "cut_stream"
    assert sum(len(piece.pcm) for piece in pieces) > 300 * BYTES_PER_MS


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("no_audio", "empty"), ("garbage", "bad_audio"), ("unknown_path", "server_error")],
)
async def test_a_turn_without_sound_is_an_error(
    server: EdgeServer, voice: EdgeVoice, kind: str, reason: str
) -> None:
    server.script.append(Behaviour(kind))  # type: ignore[arg-type]
    error, pieces = await _failure(voice)
    assert error.reason == reason
    assert pieces == []


async def test_a_silent_service_is_given_up(
    server: EdgeServer, voice: EdgeVoice, later: Callable[[float], None]
) -> None:
    server.script.append(Behaviour("silent"))
    failing = asyncio.create_task(
        _failure(_patient(voice, first_audio_timeout_s=1_000, idle_gap_s=2_000))
    )
    await server.received.wait()
    later(900)
    await asyncio.wait([failing], timeout=0.05)
    assert not failing.done()
    later(100)
    error, _ = await failing
    assert error.reason == "timeout_first_audio"
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


async def test_a_service_that_falls_silent_is_given_up(
    server: EdgeServer, voice: EdgeVoice, later: Callable[[float], None]
) -> None:
    server.script.append(Behaviour("stall", words=1))
    patient = _patient(voice, idle_gap_s=1_000)
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


async def test_a_service_that_is_not_there_is_a_connection_failure() -> None:
    error, _ = await _failure(EdgeVoice(EdgeConfig(endpoint="ws://127.0.0.1:9/edge/v1?x=1")))
    assert error.reason == "connection"


async def test_a_voice_name_that_cannot_be_is_a_bad_request(voice: EdgeVoice) -> None:
    error, _ = await _failure(EdgeVoice(replace(voice._config, voice_en="nobody")))
    assert error.reason == "bad_request"


async def test_leaving_closes_the_socket_at_once(server: EdgeServer, voice: EdgeVoice) -> None:
    server.script.append(Behaviour("stall", words=1))
    async with aclosing(voice.synthesize("one two three", "en")) as pieces:
        await anext(pieces)
        began = time.perf_counter()
    assert time.perf_counter() - began < 1
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


async def test_cancelling_the_task_closes_the_socket_at_once(
    server: EdgeServer, voice: EdgeVoice
) -> None:
    server.script.append(Behaviour("silent"))

    async def listen() -> None:
        async for _ in voice.synthesize("one two three", "en"):
            raise AssertionError("nothing is to be heard")

    task = asyncio.create_task(listen())
    await server.received.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


async def test_the_library_is_left_as_it_was(voice: EdgeVoice) -> None:
    import edge_tts.communicate

    assert [piece async for piece in voice.synthesize("hi", "en")]
    assert vars(edge_tts.communicate)["WSS_URL"].startswith("wss://speech.platform.bing.com/")
    await voice.aclose()


async def test_whatever_the_library_raises_is_told_at_once(
    server: EdgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            raise LookupError("nobody foresaw this")

    voice = EdgeVoice(EdgeConfig(endpoint=server.address, first_audio_timeout_s=3600))
    monkeypatch.setattr(voice, "_load", lambda: Broken)
    with pytest.raises(ProviderError, match="unexpected .LookupError nobody foresaw this"):
        [piece async for piece in voice.synthesize("Hello", "en")]

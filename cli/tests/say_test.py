import asyncio
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialog_contracts import sse
from dialog_contracts.http import ErrorBody
from dialog_contracts.ingest import StopAck
from vtuber_cli import ports
from vtuber_cli import say as saying
from vtuber_cli.say import CannotSay, Heard
from vtuber_cli.testing.asked_gateway import AskedGateway, chunk, end, idle, start


@pytest.fixture
async def gateway() -> AskedGateway:
    accepted = sse.ControlEvent(action="ACCEPTED")
    done = sse.DoneEvent(stats=sse.DoneStats(tokens=2, turn=42))
    said: list[sse.ChatEvent] = [accepted, sse.TextDeltaEvent(content="今晚"), sse.TextDeltaEvent(content="玩", eos=True), done]
    return AskedGateway(after=[start(42), chunk(42, 0), chunk(42, 1), end(42)], events=said)


@pytest.fixture
async def url(gateway: AskedGateway) -> AsyncIterator[str]:
    async with gateway.serving() as address:
        yield address


async def said(url: str, shown: list[str] | None = None, lang: str | None = None, *, file: float = 0.1) -> Heard:
    show = (shown if shown is not None else []).append
    async with asyncio.timeout(5):
        patience = saying.Patience(quiet=0.1, file=file)
        return await saying.say(url, "live-001", "今晚玩什么？", lang=lang, show=show, patience=patience)


async def test_text_streams_and_the_voice_is_collected(gateway: AskedGateway, url: str) -> None:
    shown: list[str] = []
    heard = await said(url, shown, lang="zh")
    assert shown == ["今晚", "玩"]
    assert (heard.text, heard.turn, heard.sample_rate) == ("今晚玩", 42, 24_000)
    assert bytes(heard.pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960
    assert heard.first_text is not None
    assert heard.first_audio is not None
    assert heard.total is not None
    assert heard.first_text <= heard.total
    assert gateway.request["content"] == "今晚玩什么？"
    assert isinstance(gateway.request["meta"], dict)
    assert gateway.request["meta"]["lang"] == "zh"
    assert gateway.request["meta"]["requestId"]


@pytest.mark.parametrize("ending", [end(41), StopAck(session_id="live-001", turn=41).to_json()])
async def test_the_end_of_the_turn_before_is_not_taken_for_ours(gateway: AskedGateway, url: str, ending: str) -> None:
    gateway.before = [start(41), chunk(41, 0)]
    gateway.after = [chunk(41, 1), ending, *gateway.after]
    assert bytes((await said(url)).pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


async def test_a_voice_that_never_comes_is_not_waited_for_long(gateway: AskedGateway, url: str) -> None:
    gateway.after = [start(42)]
    heard = await said(url)
    assert (heard.text, bytes(heard.pcm), heard.first_audio) == ("今晚玩", b"", None)


WHOLE_FILE = [
    sse.DoneStats(tokens=2, turn=42, voice="file"),
    sse.DoneStats(turn=42, path="legacy", voice="espeak", fallback_reason="not_reached"),
]


@pytest.mark.parametrize("stats", WHOLE_FILE, ids=["whole files", "the fallback"])
async def test_a_voice_that_follows_as_a_file_is_waited_for(gateway: AskedGateway, url: str, stats: sse.DoneStats) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=stats)
    gateway.after = [start(42), 0.5, chunk(42, 0), chunk(42, 1), end(42)]
    heard = await said(url, file=4)
    assert bytes(heard.pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


async def test_an_end_that_says_a_voice_follows_is_none(gateway: AskedGateway, url: str) -> None:
    gateway.after = [
        start(42),
        0.05,
        end(42, voice_follows=True),
        0.5,
        chunk(42, 0),
        end(42),
    ]
    assert bytes((await said(url, file=4)).pcm) == bytes([42, 0]) * 960


@pytest.mark.parametrize("after", [[idle(42)], [end(42)], []], ids=["nobody speaks", "it ends", "nothing is heard of it"])
async def test_a_file_that_never_comes_is_not_waited_for_longer_than_it_can_come(
    gateway: AskedGateway, url: str, after: list[str | bytes | float]
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=WHOLE_FILE[0])
    gateway.after = [start(42), 0.2, *after]
    began = time.monotonic()
    heard = await said(url, file=4 if after else 1)
    assert (bytes(heard.pcm), heard.first_audio) == (b"", None)
    assert time.monotonic() - began < 2


async def test_no_file_follows_where_there_is_no_voice(gateway: AskedGateway, url: str) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=sse.DoneStats(turn=42, path="legacy", voice="unavailable"))
    gateway.after = [start(42)]
    began = time.monotonic()
    await said(url, file=4)
    assert time.monotonic() - began < 2


async def test_a_turn_that_was_withdrawn_may_be_answered_by_the_fallback(gateway: AskedGateway, url: str) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=WHOLE_FILE[1])
    withdrawn = StopAck(session_id="live-001", turn=42).to_json()
    gateway.after = [start(42), 0.1, withdrawn, idle(42), 0.3, start(42), chunk(42, 0), end(42)]
    assert bytes((await said(url, file=4)).pcm) == bytes([42, 0]) * 960


async def test_who_leaves_stops_her_and_is_told_how_soon(gateway: AskedGateway, url: str) -> None:
    gateway.after = [start(42), chunk(42, 0)]
    gateway.after_stop = [StopAck(session_id="live-001", turn=42, heard_text="今").to_json()]
    asking = asyncio.create_task(saying.say(url, "live-001", "今晚玩什么？", lang=None, show=lambda _: None))
    await asyncio.sleep(0.5)
    left = time.perf_counter()
    asking.cancel()
    heard = await asyncio.wait_for(asking, 3)
    took = time.perf_counter() - left
    assert (gateway.stop["action"], gateway.stop["turn"]) == ("STOP", 42)
    assert heard.interrupted
    assert heard.silence is not None
    assert 0 < heard.silence <= took, "from leaving to the answer, and no more"


async def test_who_leaves_before_she_answers_stops_nobody_else(gateway: AskedGateway, url: str) -> None:
    gateway.events = []
    asking = asyncio.create_task(saying.say(url, "live-001", "今晚玩什么？", lang=None, show=lambda _: None))
    await asyncio.sleep(0.3)
    asking.cancel()
    heard = await asyncio.wait_for(asking, 3)
    assert (gateway.stop, heard.interrupted, heard.silence) == ({}, True, None)


async def test_an_error_in_the_stream_is_said_in_its_words(gateway: AskedGateway, url: str) -> None:
    gateway.events[1:] = [sse.ErrorEvent(code="llm_failed", message="no model answers")]
    with pytest.raises(CannotSay, match="llm_failed: no model answers"):
        await said(url)


@pytest.mark.parametrize(
    ("body", "words"),
    [(ErrorBody(code="busy", message="a turn runs").to_json().encode(), "busy: a turn runs"), (b"<html>", "HTTP 409")],
)
async def test_a_refusal_is_said_in_its_words(gateway: AskedGateway, url: str, body: bytes, words: str) -> None:
    gateway.status, gateway.body = 409, body
    with pytest.raises(CannotSay, match=words):
        await said(url)


async def test_without_a_gateway_it_says_how_to_start_one() -> None:
    with pytest.raises(CannotSay, match="Is it running"):
        await said(f"http://127.0.0.1:{ports.free()}")


async def test_the_command_saves_a_wav_and_prints_the_times(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "voice.wav"
    status = await asyncio.to_thread(saying.main, url + "/", "live-001", "你好", lang=None, wav_path=file)
    assert status == 0
    told = capsys.readouterr().out
    assert told.startswith("今晚玩\n")
    assert "live-001#42  first text" in told
    assert "(0.1 s)" in told
    data = file.read_bytes()
    assert data[:4] + data[8:12] == b"RIFFWAVE"
    assert struct.unpack_from("<I", data, 40) == (len(data) - 44,) == (2 * 1920,)


async def test_the_command_fails_with_one_line_on_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{ports.free()}"
    assert await asyncio.to_thread(saying.main, address, "live-001", "hi", lang=None, wav_path=None) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


async def test_the_command_tells_when_the_fallback_answered(
    gateway: AskedGateway, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=sse.DoneStats(turn=42, path="legacy", fallback_reason="not_accepted_in_time"))
    status = await asyncio.to_thread(saying.main, url, "live-001", "你好", lang=None, wav_path=tmp_path / "out.wav")
    assert status == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "今晚玩"
    assert told[-1] == "answered by the fallback: not_accepted_in_time"

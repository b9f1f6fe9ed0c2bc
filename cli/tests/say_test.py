"""`vtuber say` from its request to its last sentence.

One file of more than 400 lines: each test is one variation of what the same one-turn gateway sends.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dialog_contracts import sse
from dialog_contracts.http import ErrorBody
from dialog_contracts.ingest import StopAck
from vtuber_cli import ports, sound_device
from vtuber_cli import say as saying
from vtuber_cli.say import SayError
from vtuber_cli.testing.one_turn_gateway import OneTurnGateway, chunk, end, idle, start
from vtuber_cli.turn_playback import SayTimeouts, TurnResult


@pytest.fixture
async def gateway() -> OneTurnGateway:
    accepted = sse.ControlEvent(action="ACCEPTED")
    done = sse.DoneEvent(stats=sse.DoneStats(tokens=2, turn=42))
    said: list[sse.ChatEvent] = [
        accepted,
        sse.TextDeltaEvent(content="今晚"),
        sse.TextDeltaEvent(content="玩", eos=True),
        done,
    ]
    return OneTurnGateway(after=[start(42), chunk(42, 0), chunk(42, 1), end(42)], events=said)


@pytest.fixture
async def url(gateway: OneTurnGateway) -> AsyncIterator[str]:
    async with gateway.serving() as address:
        yield address


async def said(
    url: str, shown: list[str] | None = None, lang: str | None = None, *, file: float = 0.1
) -> TurnResult:
    show = (shown if shown is not None else []).append
    async with asyncio.timeout(5):
        timeouts = SayTimeouts(idle=0.1, file=file)
        return await saying.say(
            url, "live-001", "今晚玩什么？", lang=lang, show=show, timeouts=timeouts
        )


async def test_text_streams_and_the_voice_is_collected(gateway: OneTurnGateway, url: str) -> None:
    shown: list[str] = []
    result = await said(url, shown, lang="zh")
    assert shown == ["今晚", "玩"]
    assert (result.text, result.turn, result.sample_rate) == ("今晚玩", 42, 24_000)
    assert bytes(result.pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960
    assert result.first_text is not None
    assert result.first_audio is not None
    assert result.total is not None
    assert result.first_text <= result.total
    assert gateway.request["content"] == "今晚玩什么？"
    assert isinstance(gateway.request["meta"], dict)
    assert gateway.request["meta"]["lang"] == "zh"
    assert gateway.request["meta"]["requestId"]


@pytest.mark.parametrize("ending", [end(41), StopAck(session_id="live-001", turn=41).to_json()])
async def test_the_end_of_the_turn_before_is_not_taken_for_ours(
    gateway: OneTurnGateway, url: str, ending: str
) -> None:
    gateway.before = [start(41), chunk(41, 0)]
    gateway.after = [chunk(41, 1), ending, *gateway.after]
    assert bytes((await said(url)).pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


class RecordingSink:
    """A voice that notes what it is given."""

    playing = False

    def __init__(self) -> None:
        self.noted = list[tuple[int, bytes | str]]()
        self.first = asyncio.Event()

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        self.noted.append((turn, pcm[:2]))
        self.first.set()

    def end(self, turn: int) -> None:
        self.noted.append((turn, "end"))

    def flush(self, turn: int | None) -> None:
        self.noted.append((0 if turn is None else turn, "flush"))

    def pause(self) -> None:
        raise AssertionError

    def resume(self) -> None:
        raise AssertionError

    async def wait_silent(self) -> None:
        self.noted.append((0, "rested"))

    async def aclose(self) -> None:
        self.noted.append((0, "closed"))


async def test_the_voice_is_played_while_it_comes_and_nobody_elses(
    gateway: OneTurnGateway, url: str
) -> None:
    gateway.before = [start(41), chunk(41, 0)]
    gateway.after = [chunk(41, 1), end(41), start(42), chunk(42, 0), 0.6, chunk(42, 1), end(42)]
    ear = RecordingSink()
    asking = asyncio.create_task(
        saying.say(
            url,
            "live-001",
            "今晚玩什么？",
            lang=None,
            show=lambda _: None,
            voice=ear,
            timeouts=SayTimeouts(2, 2),
        )
    )
    async with asyncio.timeout(5):
        await ear.first.wait()
        assert not asking.done()
        assert ear.noted == [(2, bytes([42, 0]))]
        await asking
    assert ear.noted == [
        (2, bytes([42, 0])),
        (2, bytes([42, 1])),
        (2, "end"),
        (0, "rested"),
        (0, "closed"),
    ]


async def test_a_turn_that_was_withdrawn_falls_silent_and_its_second_answer_sounds(
    gateway: OneTurnGateway, url: str
) -> None:
    withdrawn = StopAck(session_id="live-001", turn=42).to_json()
    gateway.events[-1] = sse.DoneEvent(stats=WHOLE_FILE[1])
    gateway.after = [start(42), chunk(42, 0), 0.1, withdrawn, 0.1, start(42), chunk(42, 1), end(42)]
    ear = RecordingSink()
    async with asyncio.timeout(5):
        await saying.say(
            url,
            "live-001",
            "?",
            lang=None,
            show=lambda _: None,
            voice=ear,
            timeouts=SayTimeouts(2, 2),
        )
    assert ear.noted[:4] == [(1, bytes([42, 0])), (1, "flush"), (2, bytes([42, 1])), (2, "end")]


async def test_who_leaves_hears_no_word_more(gateway: OneTurnGateway, url: str) -> None:
    gateway.after = [start(42), chunk(42, 0)]
    ear = RecordingSink()
    asking = asyncio.create_task(
        saying.say(url, "live-001", "?", lang=None, show=lambda _: None, voice=ear)
    )
    async with asyncio.timeout(5):
        await ear.first.wait()
        asking.cancel()
        await asking
    assert ear.noted[1:] == [(0, "flush"), (0, "closed")]


async def test_frames_that_are_none_end_nothing(gateway: OneTurnGateway, url: str) -> None:
    gateway.after = ["{", "[]", b"?", '{"action": "START"}', *gateway.after]
    assert bytes((await said(url)).pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


async def test_a_voice_that_never_comes_is_not_waited_for_long(
    gateway: OneTurnGateway, url: str
) -> None:
    gateway.after = [start(42)]
    result = await said(url)
    assert (result.text, bytes(result.pcm), result.first_audio) == ("今晚玩", b"", None)


WHOLE_FILE = [
    sse.DoneStats(tokens=2, turn=42, voice="file"),
    sse.DoneStats(turn=42, path="legacy", voice="espeak", fallback_reason="not_reached"),
]


@pytest.mark.parametrize("stats", WHOLE_FILE, ids=["whole files", "the fallback"])
async def test_a_voice_that_follows_as_a_file_is_waited_for(
    gateway: OneTurnGateway, url: str, stats: sse.DoneStats
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=stats)
    gateway.after = [start(42), 0.5, chunk(42, 0), chunk(42, 1), end(42)]
    result = await said(url, file=4)
    assert bytes(result.pcm) == bytes([42, 0]) * 960 + bytes([42, 1]) * 960


async def test_an_end_that_says_a_voice_follows_is_none(gateway: OneTurnGateway, url: str) -> None:
    gateway.after = [
        start(42),
        0.05,
        end(42, voice_follows=True),
        0.5,
        chunk(42, 0),
        end(42),
    ]
    assert bytes((await said(url, file=4)).pcm) == bytes([42, 0]) * 960


@pytest.mark.parametrize(
    "after", [[idle(42)], [end(42)], []], ids=["nobody speaks", "it ends", "nothing is heard of it"]
)
async def test_a_file_that_never_comes_is_not_waited_for_longer_than_it_can_come(
    gateway: OneTurnGateway, url: str, after: list[str | bytes | float]
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=WHOLE_FILE[0])
    gateway.after = [start(42), 0.2, *after]
    began = time.monotonic()
    result = await said(url, file=4 if after else 1)
    assert (bytes(result.pcm), result.first_audio) == (b"", None)
    assert time.monotonic() - began < 2


async def test_no_file_follows_where_there_is_no_voice(gateway: OneTurnGateway, url: str) -> None:
    gateway.events[-1] = sse.DoneEvent(
        stats=sse.DoneStats(turn=42, path="legacy", voice="unavailable")
    )
    gateway.after = [start(42)]
    began = time.monotonic()
    await said(url, file=4)
    assert time.monotonic() - began < 2


async def test_a_turn_that_was_withdrawn_may_be_answered_by_the_fallback(
    gateway: OneTurnGateway, url: str
) -> None:
    gateway.events[-1] = sse.DoneEvent(stats=WHOLE_FILE[1])
    withdrawn = StopAck(session_id="live-001", turn=42).to_json()
    gateway.after = [start(42), 0.1, withdrawn, idle(42), 0.3, start(42), chunk(42, 0), end(42)]
    assert bytes((await said(url, file=4)).pcm) == bytes([42, 0]) * 960


async def test_who_leaves_stops_her_and_is_told_how_soon(gateway: OneTurnGateway, url: str) -> None:
    gateway.after = [start(42), chunk(42, 0)]
    gateway.after_stop = [StopAck(session_id="live-001", turn=42, heard_text="今").to_json()]
    asking = asyncio.create_task(
        saying.say(url, "live-001", "今晚玩什么？", lang=None, show=lambda _: None)
    )
    await asyncio.sleep(0.5)
    left = time.perf_counter()
    asking.cancel()
    result = await asyncio.wait_for(asking, 3)
    took = time.perf_counter() - left
    assert (gateway.stop["action"], gateway.stop["turn"]) == ("STOP", 42)
    assert result.interrupted
    assert result.silence is not None
    assert 0 < result.silence <= took, "from leaving to the answer, and no more"


async def test_who_leaves_before_she_answers_stops_nobody_else(
    gateway: OneTurnGateway, url: str
) -> None:
    gateway.events = []
    asking = asyncio.create_task(
        saying.say(url, "live-001", "今晚玩什么？", lang=None, show=lambda _: None)
    )
    await asyncio.sleep(0.3)
    asking.cancel()
    result = await asyncio.wait_for(asking, 3)
    assert (gateway.stop, result.interrupted, result.silence) == ({}, True, None)


async def test_an_error_in_the_stream_is_said_in_its_words(
    gateway: OneTurnGateway, url: str
) -> None:
    gateway.events[1:] = [sse.ErrorEvent(code="llm_failed", message="no model answers")]
    with pytest.raises(SayError, match="llm_failed: no model answers"):
        await said(url)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (ErrorBody(code="busy", message="a turn runs").to_json().encode(), "busy: a turn runs"),
        (b"<html>", "HTTP 409"),
    ],
)
async def test_a_refusal_is_said_in_its_words(
    gateway: OneTurnGateway, url: str, body: bytes, words: str
) -> None:
    gateway.status, gateway.body = 409, body
    with pytest.raises(SayError, match=words):
        await said(url)


async def test_without_a_gateway_it_says_how_to_start_one() -> None:
    with pytest.raises(SayError, match="Is it running"):
        await said(f"http://127.0.0.1:{ports.free()}")


async def test_the_command_saves_a_wav_and_prints_the_times(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "voice.wav"
    status = await asyncio.to_thread(
        saying.main, url + "/", "live-001", "你好", lang=None, wav_path=file
    )
    assert status == 0
    told = capsys.readouterr().out
    assert told.startswith("今晚玩\n")
    assert "live-001#42  first text" in told
    assert "(0.1 s)" in told
    data = file.read_bytes()
    assert data[:4] + data[8:12] == b"RIFFWAVE"
    assert struct.unpack_from("<I", data, 40) == (len(data) - 44,) == (2 * 1920,)


async def test_the_command_fails_with_one_line_on_the_error_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"http://127.0.0.1:{ports.free()}"
    assert (
        await asyncio.to_thread(saying.main, address, "live-001", "hi", lang=None, wav_path=None)
        == 1
    )
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


async def test_the_command_tells_when_the_fallback_answered(
    gateway: OneTurnGateway, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.events[-1] = sse.DoneEvent(
        stats=sse.DoneStats(turn=42, path="legacy", fallback_reason="not_accepted_in_time")
    )
    status = await asyncio.to_thread(
        saying.main, url, "live-001", "你好", lang=None, wav_path=tmp_path / "out.wav"
    )
    assert status == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "今晚玩"
    assert told[-1] == "answered by the fallback: not_accepted_in_time"


@pytest.mark.parametrize(
    ("player", "sentence"),
    [
        (
            None,
            "voice: no sound: found neither PortAudio nor one of aplay, paplay, ffplay, play, afplay; --wav FILE saves it",
        ),
        (
            "#!/bin/sh\necho 'ALSA lib pcm.c' >&2\necho 'audio open error: No such file' >&2\nexit 1\n",
            "voice: aplay cannot play here (audio open error: No such file); --wav FILE saves it",
        ),
        ("#!/bin/sh\nexec /bin/cat > /dev/null\n", "voice: played (0.1 s)"),
    ],
    ids=["no player", "no sound card", "a player"],
)
async def test_what_became_of_the_voice_is_one_true_sentence(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    player: str | None,
    sentence: str,
) -> None:
    monkeypatch.setattr(sound_device, "default_device", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if player is not None:
        (tmp_path / "aplay").write_text(player)
        (tmp_path / "aplay").chmod(0o755)
    assert (
        await asyncio.to_thread(saying.main, url, "live-001", "hi", lang=None, wav_path=None) == 0
    )
    told = capsys.readouterr()
    assert told.out.splitlines()[1] == sentence
    assert told.err == ""


async def test_a_wav_that_cannot_be_is_refused_before_anything_is_asked(
    gateway: OneTurnGateway, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing" / "out.wav"
    assert (
        await asyncio.to_thread(saying.main, url, "live-001", "hi", lang=None, wav_path=path) == 1
    )
    told = capsys.readouterr()
    assert told.err == f"--wav: {path} cannot be written: there is no folder {path.parent}.\n"
    assert gateway.request == {}


async def test_an_error_after_the_text_stands_on_a_line_of_its_own(
    gateway: OneTurnGateway, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.events[-1] = sse.ErrorEvent(code="not_stored", message="the turn could not be stored")
    assert (
        await asyncio.to_thread(
            saying.main, url, "live-001", "hi", lang=None, wav_path=tmp_path / "x.wav"
        )
        == 1
    )
    told = capsys.readouterr()
    assert (told.out, told.err) == ("今晚玩", "\nnot_stored: the turn could not be stored\n")

"""One viewer's frames, in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from dialog_contracts.ingest import StopAck
from vtuber_cli.audio_sink import AudioSink
from vtuber_cli.testing.one_turn_gateway import SESSION, chunk, end, idle, start
from vtuber_cli.turn_playback import STOP_TIMEOUT_S, SayTimeouts, TurnPlayback, TurnResult

pytestmark = pytest.mark.looptime

TIMEOUTS = SayTimeouts(idle=4, file=40)


def now() -> float:
    return asyncio.get_running_loop().time()


def pcm(turn: int, seq: int) -> bytes:
    return bytes([turn, seq]) * 960


def stopped(turn: int, played: str | None = None) -> str:
    """STOP_ACK: with what was played of it, or withdrawn."""
    return StopAck(session_id=SESSION, turn=turn, heard_text=played).to_json()


class Viewer:
    """A connection: frames that the test says, and what was sent."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []

    def says(self, *frames: str | bytes) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    def hangs_up(self) -> None:
        self._frames.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text))


class Sink:
    """A player that notes what it is given."""

    playing = False

    def __init__(self) -> None:
        self.notes = list[tuple[int | None, bytes | str]]()

    def feed(self, turn: int, pcm: bytes, sample_rate: int) -> None:
        assert sample_rate == 24_000
        self.notes.append((turn, pcm))

    def end(self, turn: int) -> None:
        self.notes.append((turn, "end"))

    def flush(self, turn: int | None) -> None:
        self.notes.append((turn, "flush"))

    async def wait_silent(self) -> None:
        self.notes.append((0, "silent"))

    async def aclose(self) -> None:
        self.notes.append((0, "closed"))


class Turn:
    def __init__(self, turn: int | None) -> None:
        self.viewer, self.sink, self.result = Viewer(), Sink(), TurnResult(turn=turn)
        self.playback = TurnPlayback(
            cast(ClientConnection, self.viewer), self.result, 0.0, cast(AudioSink, self.sink)
        )

    async def come(self, *frames: str | bytes) -> None:
        self.viewer.says(*frames)
        await asyncio.sleep(0.001)

    async def ended_after(self) -> float:
        began = now()
        await self.playback.ended(TIMEOUTS)
        return now() - began


@asynccontextmanager
async def turn(number: int | None = 42) -> AsyncIterator[Turn]:
    it = Turn(number)
    try:
        yield it
    finally:
        await it.playback.aclose()
        assert it.sink.notes[-1] == (0, "closed")


async def test_sound_is_kept_and_played_while_it_comes_until_the_end() -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0))
        assert it.sink.notes == [(1, pcm(42, 0))]
        await it.come(chunk(42, 1), end(42), chunk(42, 2))
        assert await it.ended_after() == pytest.approx(0, abs=0.01)
        assert it.result.pcm == pcm(42, 0) + pcm(42, 1), "nothing follows an end"
        assert it.sink.notes[1:] == [(1, pcm(42, 1)), (1, "end"), (0, "silent")]
        assert it.result.first_audio is not None


async def test_only_our_turn_is_played_whatever_sounds_before_it() -> None:
    async with turn() as it:
        await it.come(start(41), chunk(41, 0), end(41), stopped(41, "hello"), idle(41))
        assert it.sink.notes == []
        await it.come(start(42), chunk(41, 1), chunk(42, 0), end(41), chunk(42, 1))
        assert [said for _, said in it.sink.notes] == [pcm(42, 0), pcm(42, 1)]
        assert it.result.pcm == pcm(42, 0) + pcm(42, 1)


async def test_a_turn_whose_number_is_not_known_yet_waits_and_is_played_when_it_is() -> None:
    async with turn(None) as it:
        await it.come(start(42), chunk(42, 0), chunk(42, 1))
        assert it.sink.notes == []
        it.result.turn = 42
        it.playback.pass_on()
        it.playback.pass_on()
        assert it.sink.notes == [(1, pcm(42, 0) + pcm(42, 1))]
    async with turn(None) as other:
        await other.come(start(41), chunk(41, 0))
        other.result.turn = 42
        other.playback.pass_on()
        assert other.sink.notes == [], "that was somebody else's"


@pytest.mark.parametrize(
    "last", [end(42), end(42, voice_follows=False), stopped(42, "h"), idle(42)]
)
async def test_every_end_of_our_turn_is_one(last: str) -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0), last)
        assert await it.ended_after() == pytest.approx(0, abs=0.01)


async def test_a_voice_that_falls_silent_is_taken_for_ended_and_one_that_goes_on_is_not() -> None:
    async with turn() as it:
        waiting = asyncio.create_task(it.ended_after())
        await it.come(start(42))
        for seq in range(5):
            await asyncio.sleep(3.9)
            await it.come(chunk(42, seq))
            assert not waiting.done()
        assert 4 <= await waiting - 5 * 3.9 <= 8.1
        assert it.sink.notes[-2:] == [(1, "end"), (0, "silent")]


async def test_a_voice_that_follows_as_a_file_is_waited_for_longer() -> None:
    async with turn() as it:
        await it.come(start(42), end(42, voice_follows=True))
        waiting = asyncio.create_task(it.ended_after())
        await asyncio.sleep(35)
        assert it.result.voice_follows
        await it.come(chunk(42, 0))
        await asyncio.sleep(1)
        assert not waiting.done()
        await it.come(chunk(42, 1), idle(42))
        await waiting
        assert it.result.pcm == pcm(42, 0) + pcm(42, 1)
    async with turn() as never:
        await never.come(start(42), end(42, voice_follows=True))
        assert await never.ended_after() == pytest.approx(40)


async def test_a_turn_that_is_withdrawn_falls_silent_and_its_second_answer_is_another_sound() -> (
    None
):
    async with turn() as it:
        await it.come(start(42), chunk(42, 0), stopped(42), chunk(42, 1))
        assert it.sink.notes == [(1, pcm(42, 0)), (1, "flush")]
        await it.come(start(42), chunk(42, 2), end(42))
        await it.ended_after()
        assert it.sink.notes[2:] == [(2, pcm(42, 2)), (2, "end"), (0, "silent")]
        assert it.result.pcm == pcm(42, 2), "what was withdrawn is not kept"


async def test_a_turn_that_is_interrupted_by_others_is_flushed() -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0), stopped(42, "hel"))
        assert it.sink.notes == [(1, pcm(42, 0)), (1, "flush")]


async def test_a_connection_that_ends_ends_the_wait() -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0))
        it.viewer.hangs_up()
        assert await it.ended_after() == pytest.approx(0, abs=0.01)


async def test_who_leaves_stops_his_own_turn_and_waits_for_the_word_that_nothing_follows() -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0))
        asyncio.get_running_loop().call_later(0.3, it.viewer.says, stopped(42, "h"))
        await it.playback.stop(SESSION)
        assert now() >= 0.3
        assert it.sink.notes[1] == (None, "flush"), "at once"
        (sent,) = it.viewer.sent
        assert (sent["action"], sent["turn"], sent["sessionId"]) == ("STOP", 42, SESSION)
        assert it.result.silence is not None


async def test_a_stop_that_is_not_answered_holds_nobody_up() -> None:
    async with turn() as it:
        await it.come(start(42), chunk(42, 0))
        began = now()
        await it.playback.stop(SESSION)
        assert now() - began == pytest.approx(STOP_TIMEOUT_S)
        assert it.result.silence is None


@pytest.mark.parametrize("known", [False, True])
async def test_a_turn_that_is_not_known_or_has_ended_is_not_stopped(known: bool) -> None:
    async with turn(42 if known else None) as it:
        await it.come(start(42), chunk(42, 0), *([end(42)] if known else []))
        await it.playback.stop(SESSION)
        assert it.viewer.sent == []
        assert it.sink.notes[-1] == (None, "flush"), "it falls silent here nevertheless"


FRAME = st.one_of(
    st.builds(start, st.integers(41, 43)),
    st.builds(chunk, st.integers(41, 43), st.integers(0, 3)),
    st.builds(end, st.just(41), voice_follows=st.sampled_from([None, True])),
    st.builds(stopped, st.integers(41, 43), st.sampled_from([None, "h"])),
    st.sampled_from(
        ["{", "[]", "null", "7", '"x"', '{"action":"START"}', '{"action":"START","turn":"42"}']
    ),
    st.binary(max_size=40),
)


@settings(max_examples=60)
@given(st.lists(FRAME, max_size=20))
def test_whatever_comes_only_our_turn_sounds_and_each_piece_once(frames: list[str | bytes]) -> None:
    async def run() -> None:
        it = Turn(42)
        await it.come(*frames)
        await asyncio.sleep(0)
        assert not it.playback._listening.done() or it.playback._listening.exception() is None
        played: dict[int | None, bytes] = {}
        for sound, said in it.sink.notes:
            if isinstance(said, bytes):
                played[sound] = played.get(sound, b"") + said
                assert set(said[::2]) == {42}
        if played and it.playback._turn == 42:
            assert played.get(it.playback._start, b"") == it.result.pcm
        it.viewer.hangs_up()
        await it.playback.aclose()

    asyncio.run(run())

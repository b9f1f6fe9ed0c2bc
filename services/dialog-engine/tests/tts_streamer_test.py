"""Speech of a turn in virtual time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from dialog_contracts.limits import BYTES_PER_MS
from dialog_engine.speech.chunker import AudioChunk
from dialog_engine.tts_streamer import MAX_FRAGMENTS_AHEAD, SpeechHooks, TtsStreamer
from dialog_media.playback_clock import LEAD_MS
from dialog_voice.errors import AllVoicesFailed
from dialog_voice.text.fragmenter import Fragment
from dialog_voice.voice import VoiceAudio, WordCue

pytestmark = pytest.mark.looptime


class Voice:
    """100 ms of sound a character, the first after `first_s`; texts in `broken` fail."""

    name = "test"

    def __init__(self, first_s: float = 0.0, broken: str = "") -> None:
        self.first_s, self.broken = first_s, broken
        self.started: list[tuple[str, float]] = []
        self.closed = 0

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        self.started.append((text, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(self.first_s)
            if text == self.broken:
                raise AllVoicesFailed([("test", "connection")], None)
            for number in range(len(text)):
                yield VoiceAudio(
                    b"\1\0" * (25 * BYTES_PER_MS), (), (WordCue(number * 100, number, number + 1),)
                )
                yield VoiceAudio(b"\1\0" * (25 * BYTES_PER_MS))
        finally:
            self.closed += 1

    async def warm(self) -> None:
        return

    async def aclose(self) -> None:
        return


class Stage:
    """A streamer and what it did, with the times in ms."""

    def __init__(self, voice: Voice) -> None:
        self.sent: list[tuple[float, AudioChunk]] = []
        self.events: list[str] = []
        hooks = SpeechHooks(
            self._chunk, lambda: self.events.append("first"), lambda: self.events.append("sent")
        )
        self.streamer = TtsStreamer(voice, "en", hooks, self.now)
        self.streamer.start()

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time() * 1000

    def _chunk(self, chunk: AudioChunk) -> None:
        self.sent.append((self.now(), chunk))

    def say(self, *texts: str) -> None:
        at = 0
        for text in texts:
            self.streamer.enqueue(Fragment(text, at, ends_sentence=True))
            at += len(text)


async def test_sound_is_sent_at_most_600_ms_ahead_of_the_ear_and_all_of_it() -> None:
    stage = Stage(Voice())
    stage.say("abcdefghij", "klmnopqrst")
    stage.streamer.end_input()
    await asyncio.sleep(5)
    assert stage.events == ["first", "sent"]
    start = stage.sent[0][0]
    for at, chunk in stage.sent:
        assert chunk.offset_ms - (at - start) <= LEAD_MS + 1
    assert sum(chunk.duration_ms for _, chunk in stage.sent) == stage.streamer.audio_ms >= 2000
    await stage.streamer.close()


async def test_the_first_chunk_is_on_its_way_before_the_ones_behind_it_are_made() -> None:
    stage = Stage(Voice())
    stage.say("abcdefghij")
    while not stage.sent:
        await asyncio.sleep(0)
    assert len(stage.sent) == 1
    assert stage.events == ["first"]
    stage.streamer.cancel()
    await asyncio.sleep(1)
    assert len(stage.sent) == 1
    await stage.streamer.close()


async def test_at_most_two_fragments_are_made_ahead_of_the_one_that_sounds() -> None:
    voice = Voice()
    stage = Stage(voice)
    stage.say(*["abcdefghij"] * 6)
    stage.streamer.end_input()
    await asyncio.sleep(0.1)
    assert len(voice.started) == 1 + MAX_FRAGMENTS_AHEAD
    await asyncio.sleep(20)
    for number in range(MAX_FRAGMENTS_AHEAD, 6):
        begun = voice.started[number][1] * 1000
        sounding = next(
            at
            for at, chunk in stage.sent
            if chunk.text_start >= (number - MAX_FRAGMENTS_AHEAD) * 10
        )
        assert begun >= sounding
    assert stage.events[-1] == "sent"
    await stage.streamer.close()


async def test_code_and_addresses_are_not_spelled_out_and_places_stay() -> None:
    voice = Voice()
    stage = Stage(voice)
    stage.say("Try ", "```\nx = 1\n", "``` or ", "http://a.b/c. ")
    stage.streamer.end_input()
    await asyncio.sleep(10)
    assert [text for text, _ in voice.started] == ["Try ", "    or ", "       a.b  . "]
    assert stage.sent[-1][1].text_end == len("Try ```\nx = 1\n``` or http://a.b/c. ")
    await stage.streamer.close()


async def test_a_pause_holds_back_what_is_not_within_the_lead_and_keeps_its_place() -> None:
    stage = Stage(Voice())
    stage.say("abcdefghijklmnopqrst")
    stage.streamer.end_input()
    await asyncio.sleep(0.5)
    assert stage.streamer.set_paused("PAUSE")
    assert not stage.streamer.set_paused("PAUSE")
    heard = stage.streamer.played_text_end()
    await asyncio.sleep(0.2)
    count = len(stage.sent)
    await asyncio.sleep(5)
    assert len(stage.sent) == count
    assert stage.streamer.played_text_end() == heard
    assert stage.events == ["first"]
    assert stage.streamer.set_paused("RESUME")
    await asyncio.sleep(3)
    assert stage.events == ["first", "sent"]
    assert stage.streamer.played_text_end() == 20
    await stage.streamer.close()


async def test_cancel_sends_nothing_more_and_closes_the_voice() -> None:
    voice = Voice(first_s=0.05)
    stage = Stage(voice)
    stage.say("abcdefghijklmnopqrstuvwxyz", "more")
    await asyncio.sleep(0.5)
    count = len(stage.sent)
    assert count > 0
    stage.streamer.cancel()
    await asyncio.sleep(3)
    await stage.streamer.close()
    assert len(stage.sent) == count
    assert voice.closed == len(voice.started)
    assert stage.events == ["first"]


async def test_cancel_before_the_first_sound_is_silent() -> None:
    voice = Voice(first_s=0.5)
    stage = Stage(voice)
    stage.say("abc")
    await asyncio.sleep(0.1)
    await stage.streamer.close()
    await asyncio.sleep(1)
    assert stage.sent == []
    assert voice.closed == 1


async def test_a_fragment_that_cannot_be_spoken_is_passed_over() -> None:
    stage = Stage(Voice(broken="bad"))
    stage.say("one", "bad", "two")
    stage.streamer.end_input()
    await asyncio.sleep(3)
    assert stage.events == ["first", "sent"]
    assert (stage.streamer.spoken_fragments, stage.streamer.failed_fragments) == (2, 1)
    assert [chunk.seq for _, chunk in stage.sent] == list(range(len(stage.sent)))
    await stage.streamer.close()


async def test_a_turn_that_cannot_be_spoken_at_all_still_ends() -> None:
    stage = Stage(Voice(broken="bad"))
    stage.say("bad")
    stage.streamer.end_input()
    await asyncio.sleep(0.1)
    assert stage.events == ["sent"]
    assert stage.streamer.played_text_end() == 0
    await stage.streamer.close()


async def test_what_was_heard_is_the_words_that_had_begun_to_sound() -> None:
    stage = Stage(Voice())
    stage.say("abcdefghij")
    stage.streamer.end_input()
    await asyncio.sleep(0.355)
    assert stage.streamer.played_text_end() == 4
    stage.streamer.report_position(120)
    assert stage.streamer.played_text_end() == 2
    await asyncio.sleep(0.1)
    assert stage.streamer.played_text_end() == 3
    await asyncio.sleep(9)
    stage.streamer.report_position(10**9)
    assert stage.streamer.played_text_end() == 10
    assert stage.streamer.remaining_ms() == 0
    await stage.streamer.close()


async def test_silence_and_emoji_are_not_given_to_the_voice() -> None:
    voice = Voice()
    stage = Stage(voice)
    stage.say("🎉", "...", "ok")
    stage.streamer.end_input()
    await asyncio.sleep(1)
    assert [text for text, _ in voice.started] == ["ok"]
    await stage.streamer.close()

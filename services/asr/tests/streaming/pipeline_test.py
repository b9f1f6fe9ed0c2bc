"""One microphone in virtual time: frames of 20 ms come as they are spoken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, tuples

from asr.recognizer import NullRecognizer
from asr.streaming.endpointing import EndpointingConfig
from asr.streaming.pipeline import MAX_AHEAD_MS, StreamingRecognizer
from asr.testing.scripted_backends import (
    FRAME_MS,
    ScriptedEndOfTurn,
    ScriptedRecognizer,
    backends,
    sound,
)
from dialog_contracts.input_socket import InputError, MicStart, Partial, SpeechStarted, Utterance
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics
from service_runtime.http.errors import InvalidField, TooMany

pytestmark = pytest.mark.looptime

START = MicStart(session_id="live-001", format="pcm_s16le", sample_rate=16_000, lang="en")


class Room:
    """An ear, who speaks into it, and what it says, with the time of each."""

    def __init__(
        self,
        recognizer: NullRecognizer,
        judge: ScriptedEndOfTurn | None,
        rhythm: EndpointingConfig | None = None,
    ) -> None:
        self.told: list[tuple[float, WireModel]] = []
        self.ear = StreamingRecognizer(START, backends(recognizer, judge, rhythm), self._tell)

    async def _tell(self, message: WireModel) -> None:
        self.told.append((asyncio.get_running_loop().time(), message))

    async def hears(self, ms: int, level: float) -> None:
        for _ in range(ms // FRAME_MS):
            self.ear.feed(sound(FRAME_MS, level))
            await asyncio.sleep(FRAME_MS / 1000)

    def of(self, kind: type[WireModel]) -> list[Any]:
        return [message for _, message in self.told if isinstance(message, kind)]

    def at(self, kind: type[WireModel]) -> float:
        return next(at for at, message in self.told if isinstance(message, kind))


@asynccontextmanager
async def room(
    recognizer: NullRecognizer | None = None,
    judge: ScriptedEndOfTurn | None = None,
    rhythm: EndpointingConfig | None = None,
) -> AsyncIterator[Room]:
    made = Room(recognizer or ScriptedRecognizer(), judge, rhythm)
    running = asyncio.create_task(made.ear.run())
    try:
        yield made
        made.ear.stop()
        await asyncio.wait_for(running, 60)
    finally:
        running.cancel()


async def test_words_come_while_one_speaks_and_the_utterance_soon_after() -> None:
    recognizer, judge = ScriptedRecognizer(), ScriptedEndOfTurn()
    async with room(recognizer, judge) as it:
        await it.hears(1_000, 0)
        await it.hears(2_000, 0.5)
        await it.hears(1_000, 0)
    kinds = [type(message).__name__ for _, message in it.told]
    assert kinds[0] == "SpeechStarted"
    assert kinds[-1] == "Utterance"
    texts = [partial.text for partial in it.of(Partial)]
    assert texts == sorted(set(texts), key=len), "each is told once, and they grow"
    assert len(texts) >= 2
    (said,) = it.of(Utterance)
    assert (said.text, said.lang) == ("word word word word", "en")
    assert abs(said.start_ms - 1_000) <= 32
    assert abs(said.end_ms - 3_000) <= 32
    assert it.at(Utterance) - 3.0 < 0.6, (
        "200 ms of silence, and one decode that ran beside the judge"
    )
    assert recognizer.most_at_once == 1
    assert recognizer.finals == [], "the words of the pause were reused"
    assert judge.lengths_s[0] == pytest.approx(2.5, abs=0.1), "with its pre-roll and the silence"


async def test_who_is_not_done_is_waited_for() -> None:
    async with room(judge=ScriptedEndOfTurn([False])) as it:
        await it.hears(1_000, 0.5)
        await it.hears(1_200, 0)
        await it.hears(1_000, 0.5)
        await it.hears(2_000, 0)
    (said,) = it.of(Utterance)
    assert said.text == "word word word word"
    assert it.at(Utterance) - 3.2 == pytest.approx(1.5, abs=0.1)


async def test_the_language_of_a_short_sound_is_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "START", START.model_copy(update={"lang": None}))
    recognizer = ScriptedRecognizer()
    async with room(recognizer, ScriptedEndOfTurn()) as it:
        await it.hears(640, 0.5)
        await it.hears(640, 0)
        assert set(recognizer.languages) == {None}, "nothing is known yet"
        await it.hears(2_000, 0.5)
        await it.hears(640, 0)
        assert recognizer.languages[-1] is None, "a sentence says itself what it is in"
        recognizer.languages.clear()
        await it.hears(640, 0.5)
        await it.hears(640, 0)
    assert set(recognizer.languages) == {"en"}


async def test_a_judge_that_fails_is_counted_and_silence_decides() -> None:
    before = metrics.EOT_PREDICTIONS.labels(outcome="failed")._value.get()
    async with room(judge=ScriptedEndOfTurn([None])) as it:
        await it.hears(1_000, 0.5)
        await it.hears(1_200, 0)
        assert len(it.of(Utterance)) == 1
    assert it.at(Utterance) - 1.0 == pytest.approx(0.7, abs=0.1)
    assert metrics.EOT_PREDICTIONS.labels(outcome="failed")._value.get() == before + 1


async def test_without_a_model_the_utterance_says_so_and_nothing_is_told_before() -> None:
    async with room(NullRecognizer()) as it:
        await it.hears(2_000, 0.5)
        await it.hears(1_000, 0)
        await it.hears(120, 0.5)
        await it.hears(1_000, 0)
    assert it.of(Partial) == []
    spoken, coughed = it.of(Utterance)
    assert "No speech model is installed" in spoken.text
    assert coughed.text == ""
    assert len(it.of(SpeechStarted)) == 2


async def test_a_recognizer_that_is_busy_or_slow_is_asked_again_and_never_twice_at_once() -> None:
    recognizer = ScriptedRecognizer()
    recognizer.busy = True
    async with room(recognizer, ScriptedEndOfTurn()) as it:
        await it.hears(2_000, 0.5)
        await it.hears(640, 0)
    assert it.of(Partial) == []
    assert it.of(Utterance)[0].text == "word word word word"
    assert len(recognizer.finals) == 1
    slow = ScriptedRecognizer()
    slow.takes_s = 1.2
    async with room(slow, ScriptedEndOfTurn()) as it:
        await it.hears(4_000, 0.5)
        await it.hears(640, 0)
        await it.hears(640, 0.5)
        await it.hears(640, 0)
    assert slow.most_at_once == 1
    assert slow.interims <= 6, "wishes that could not be met were forgotten"
    kinds = [type(message) for _, message in it.told if not isinstance(message, Partial)]
    assert kinds == [SpeechStarted, Utterance, SpeechStarted, Utterance]


async def test_a_recognizer_that_fails_is_said_and_the_utterance_is_empty() -> None:
    recognizer = ScriptedRecognizer()
    recognizer.broken = True
    async with room(recognizer, ScriptedEndOfTurn()) as it:
        await it.hears(1_000, 0.5)
        await it.hears(640, 0)
    (error,), (said,) = it.of(InputError), it.of(Utterance)
    assert (error.code, said.text) == ("asr_failed", "")


async def test_a_long_speech_comes_in_pieces() -> None:
    async with room(
        judge=ScriptedEndOfTurn(), rhythm=EndpointingConfig(max_utterance_ms=3_000)
    ) as it:
        await it.hears(8_000, 0.5)
        await it.hears(640, 0)
    pieces = it.of(Utterance)
    assert len(pieces) == 3
    assert all(piece.end_ms - piece.start_ms <= 3_032 for piece in pieces)
    assert [piece.start_ms for piece in pieces[1:]] == [piece.end_ms for piece in pieces[:-1]]


async def test_a_microphone_that_is_switched_off_in_a_word_is_heard_to_there() -> None:
    async with room(judge=ScriptedEndOfTurn()) as it:
        await it.hears(1_000, 0.5)
    assert it.of(Utterance)[0].text.startswith("word")


async def test_frames_that_stay_away_end_what_was_said() -> None:
    async with room(judge=ScriptedEndOfTurn()) as it:
        await it.hears(1_000, 0.5)
        await asyncio.sleep(3)
        assert len(it.of(Utterance)) == 1
        await it.hears(1_000, 0.5)
    assert len(it.of(Utterance)) == 2


async def test_words_that_are_found_much_slower_than_said_are_given_up_and_counted() -> None:
    slow = ScriptedRecognizer()
    slow.takes_s, slow.busy = 20.0, True
    given_up = metrics.UTTERANCES.labels(ended="complete", outcome="given_up")
    before = given_up._value.get()
    async with room(slow, ScriptedEndOfTurn()) as it:
        for _ in range(8):
            await it.hears(500, 0.5)
            await it.hears(640, 0)
        assert given_up._value.get() > before
        slow.takes_s = 0.1
    assert len(it.of(SpeechStarted)) == len(it.of(Utterance)) < 8


async def test_more_audio_than_time_is_refused() -> None:
    async with room() as it:
        for _ in range(MAX_AHEAD_MS // 1_000):
            it.ear.feed(sound(1_000, 0))
        with pytest.raises(TooMany, match="more audio than there was time for"):
            it.ear.feed(sound(1_000, 0))
        await asyncio.sleep(1)
        it.ear.feed(sound(1_000, 0))
    assert it.told == []


async def test_a_packet_that_is_none_is_refused_and_its_time_goes_by() -> None:
    opus = MicStart(session_id="live-001", format="opus", sample_rate=48_000)

    async def tell(_: WireModel) -> None:
        raise AssertionError

    ear = StreamingRecognizer(opus, backends(ScriptedRecognizer(), None), tell)
    with pytest.raises(InvalidField, match="no Opus packet"):
        ear.feed(b"\xff" * 50)
    assert ear._fed_ms == 20


async def test_long_silence_is_not_remembered() -> None:
    async with room(judge=ScriptedEndOfTurn()) as it:
        second = sound(1_000, 0)
        for _ in range(900):
            it.ear.feed(second)
            await asyncio.sleep(1)
        kept = sum(frame.nbytes for frame in it.ear._recent) + it.ear._remainder.nbytes
        assert kept < 64_000
        assert len(asyncio.all_tasks()) == 4, "this test, its ear, the judge and the watch"
    assert it.told == []


@settings(max_examples=25)
@given(lists(tuples(integers(20, 3_000), integers(0, 10)), max_size=12))
def test_whatever_is_heard_each_beginning_has_one_end(pieces: list[tuple[int, int]]) -> None:
    async def run() -> list[WireModel]:
        told: list[WireModel] = []

        async def tell(message: WireModel) -> None:
            told.append(message)

        recognizer, judge = ScriptedRecognizer(), ScriptedEndOfTurn([True, False, None, True])
        recognizer.takes_s = judge.takes_s = 0
        ear = StreamingRecognizer(
            START, backends(recognizer, judge, EndpointingConfig(max_utterance_ms=2_000)), tell
        )
        ear._began_at -= 3_600
        running = asyncio.create_task(ear.run())
        for ms, level in pieces:
            for frame in np.array_split(
                np.frombuffer(sound(ms, level / 10), "<i2"), -(-ms // FRAME_MS)
            ):
                ear.feed(frame.tobytes())
                await asyncio.sleep(0)
        ear.stop()
        await asyncio.wait_for(running, 10)
        return told

    told = asyncio.run(run())
    open_ = False
    for message in told:
        if isinstance(message, SpeechStarted):
            assert not open_
            open_ = True
        elif isinstance(message, Utterance):
            assert open_
            assert 0 <= message.end_ms - message.start_ms <= 2_032
            open_ = False
        else:
            assert isinstance(message, Partial)
            assert open_
    assert not open_

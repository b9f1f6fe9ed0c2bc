"""The transcriber alone, in virtual time: an utterance is a SpeechSegment that the test writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from asr.decoder import RATE, Samples
from asr.recognizer import NullRecognizer, Transcript
from asr.streaming.endpointing import Reason, SpeechEnded
from asr.streaming.endpointing import SpeechStarted as Began
from asr.streaming.transcriber import LANGUAGE_MS, TAIL_MS, UtteranceTranscriber
from asr.streaming.utterance import SpeechSegment
from asr.streaming.vad import FRAME, FRAME_MS
from dialog_contracts import limits
from dialog_contracts.input_socket import InputError, MicStart, Partial, SpeechStarted, Utterance
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics

pytestmark = pytest.mark.looptime

UNKNOWN = MicStart(session_id="live-001", format="pcm_s16le", sample_rate=16_000)
ENGLISH = UNKNOWN.model_copy(update={"lang": "en"})


@dataclass
class Recognizer(NullRecognizer):
    """Recognizes the text that the test has set, and notes what it was asked, and when."""

    text: str = "hello"
    speaks: str = "zh"
    takes_s: float = 0.1
    fails: Exception | None = None
    unsure: bool = False
    interims: list[tuple[float, int, bool]] = field(default_factory=list)
    """Time, ms of audio, and whether it was to be thorough."""

    finals_ms: list[int] = field(default_factory=list)
    langs: list[str | None] = field(default_factory=list)
    running: int = 0

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        self.interims.append((now(), len(samples) * 1000 // RATE, thorough))
        found = await self._words(lang)
        return None if self.unsure else found

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        self.finals_ms.append(len(samples) * 1000 // RATE)
        return await self._words(lang)

    async def _words(self, lang: str | None) -> Transcript:
        assert self.running == 0, "decodes of one microphone never run concurrently"
        self.langs.append(lang)
        text, self.running = self.text, 1
        await asyncio.sleep(self.takes_s)
        self.running = 0
        if self.fails is not None:
            raise self.fails
        return Transcript(text, lang or self.speaks)


def now() -> float:
    return asyncio.get_running_loop().time()


class Speech(SpeechSegment):
    """An utterance from 300 ms of the audio on, without silence before it."""

    def __init__(self) -> None:
        super().__init__(Began(start_ms=300, window_ms=0), [])

    def add(self, ms: int) -> None:
        self.frames += [np.ones(FRAME, np.float32)] * (ms // FRAME_MS)

    def ends(self, end_ms: int, reason: Reason = "complete", *, over_at: float = 0.0) -> None:
        self.finish(SpeechEnded(300, end_ms, reason), over_at)


class Microphone:
    def __init__(self, recognizer: Recognizer, start: MicStart) -> None:
        self.sent: list[WireModel] = []
        self.transcriber = UtteranceTranscriber(start, recognizer, self._send)

    async def _send(self, message: WireModel) -> None:
        self.sent.append(message)

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[Speech]:
        self.sent.clear()
        speech = Speech()
        running = asyncio.create_task(self.transcriber.run(speech))
        try:
            yield speech
            await asyncio.wait_for(running, 30)
        finally:
            running.cancel()

    async def says(self, ms: int) -> Utterance:
        """An utterance of this length without interim results."""
        async with self.utterance() as speech:
            speech.add(300 + ms + 300)
            speech.ends(300 + ms)
        said = self.sent[-1]
        assert isinstance(said, Utterance)
        return said


def outcomes(outcome: str) -> float:
    return float(metrics.ASR_INTERIM_RESULTS.labels(outcome=outcome)._value.get())


def utterances(ended: str, outcome: str) -> float:
    return float(metrics.UTTERANCES.labels(ended=ended, outcome=outcome)._value.get())


async def test_the_beginning_comes_first_then_interim_results_then_the_utterance() -> None:
    recognizer = Recognizer()
    microphone = Microphone(recognizer, ENGLISH)
    counted = utterances("silence", "heard")
    async with microphone.utterance() as speech:
        speech.add(960)
        await asyncio.sleep(1)
        assert microphone.sent == [SpeechStarted(at_ms=300)], "nobody has asked for words"
        speech.request_interim(660, pausing=False)
        await asyncio.sleep(1)
        recognizer.text = "hello there"
        speech.add(960)
        speech.ends(1_800, "silence")
    assert microphone.sent == [
        SpeechStarted(at_ms=300),
        Partial(text="hello", speech_ms=660),
        Utterance(text="hello there", lang="en", start_ms=300, end_ms=1_800),
    ]
    assert utterances("silence", "heard") == counted + 1


async def test_an_interim_result_without_news_is_not_sent() -> None:
    recognizer = Recognizer()
    microphone = Microphone(recognizer, ENGLISH)
    same = outcomes("same")
    async with microphone.utterance() as speech:
        for text in ("", "hello", "hello", "", "hello"):
            recognizer.text = text
            speech.add(480)
            speech.request_interim(480, pausing=False)
            await asyncio.sleep(1)
        speech.ends(1_000)
    assert [message.text for message in microphone.sent if isinstance(message, Partial)] == [
        "hello"
    ]
    assert outcomes("same") == same + 4


async def test_the_words_of_the_pause_are_those_of_the_utterance() -> None:
    recognizer = Recognizer()
    microphone = Microphone(recognizer, ENGLISH)
    reused = utterances("complete", "reused")
    async with microphone.utterance() as speech:
        speech.add(1_280)
        speech.request_interim(900, pausing=True)
        await asyncio.sleep(1)
        recognizer.text = "other words"
        speech.ends(1_280 - TAIL_MS)
    assert [thorough for _, _, thorough in recognizer.interims] == [True]
    assert recognizer.finals_ms == []
    assert microphone.sent[-1] == Utterance(text="hello", lang="en", start_ms=300, end_ms=1_180)
    assert utterances("complete", "reused") == reused + 1


@pytest.mark.parametrize(
    ("pausing", "end_ms"),
    [
        pytest.param(True, 1_281 - TAIL_MS, id="speech went on"),
        pytest.param(False, 1_000, id="it was less exact"),
    ],
)
async def test_words_that_may_lack_something_are_not_reused(pausing: bool, end_ms: int) -> None:
    recognizer = Recognizer()
    microphone = Microphone(recognizer, ENGLISH)
    async with microphone.utterance() as speech:
        speech.add(1_280)
        speech.request_interim(900, pausing=pausing)
        await asyncio.sleep(0.05)
        recognizer.text = "hello there"
        speech.add(640)
        await asyncio.sleep(1)
        speech.ends(end_ms)
    assert len(recognizer.finals_ms) == 1
    assert microphone.sent[-1] == Utterance(
        text="hello there", lang="en", start_ms=300, end_ms=end_ms
    )


async def test_the_audio_of_the_utterance_ends_a_little_after_its_last_voice() -> None:
    recognizer = Recognizer()
    async with Microphone(recognizer, ENGLISH).utterance() as speech:
        speech.add(3_200)
        speech.ends(960)
    (final_ms,) = recognizer.finals_ms
    assert 960 + TAIL_MS <= final_ms < 960 + TAIL_MS + FRAME_MS


async def test_an_end_in_the_middle_of_an_interim_result_waits_for_it_and_may_reuse_it() -> None:
    recognizer = Recognizer(takes_s=0.5)
    microphone = Microphone(recognizer, ENGLISH)
    async with microphone.utterance() as speech:
        speech.add(1_280)
        speech.request_interim(900, pausing=True)
        await asyncio.sleep(0.1)
        speech.ends(1_000)
    assert now() == pytest.approx(0.5, abs=0.01)
    assert recognizer.finals_ms == []
    assert [type(message) for message in microphone.sent] == [SpeechStarted, Partial, Utterance]


async def test_a_request_replaces_those_that_have_not_begun() -> None:
    recognizer = Recognizer(takes_s=1)
    microphone = Microphone(recognizer, ENGLISH)
    async with microphone.utterance() as speech:
        speech.add(480)
        speech.request_interim(480, pausing=False)
        await asyncio.sleep(0.1)
        recognizer.text = "hello there"
        for _ in range(5):
            speech.add(160)
            speech.request_interim(len(speech.frames) * FRAME_MS, pausing=True)
        await asyncio.sleep(5)
        speech.ends(1_000)
    assert [ms for _, ms, _ in recognizer.interims] == [480, 1_280]
    assert [message for message in microphone.sent if isinstance(message, Partial)] == [
        Partial(text="hello", speech_ms=480),
        Partial(text="hello there", speech_ms=1_280),
    ]


async def test_after_an_interim_result_there_is_a_pause_as_long_as_it_took() -> None:
    recognizer = Recognizer(takes_s=0.5)
    skipped = outcomes("skipped")
    async with Microphone(recognizer, ENGLISH).utterance() as speech:
        began = now()
        for _ in range(24):
            speech.add(96)
            speech.request_interim(96, pausing=False)
            await asyncio.sleep(0.1)
        speech.ends(1_000)
    times = [at - began for at, _, _ in recognizer.interims]
    assert times == pytest.approx([0, 1, 2], abs=0.11)
    assert outcomes("skipped") - skipped >= 9


async def test_the_words_of_a_pause_do_not_wait_for_that() -> None:
    recognizer = Recognizer(takes_s=0.5)
    async with Microphone(recognizer, ENGLISH).utterance() as speech:
        began = now()
        speech.add(960)
        speech.request_interim(660, pausing=False)
        await asyncio.sleep(0.55)
        speech.request_interim(660, pausing=True)
        await asyncio.sleep(0.05)
        assert [at - began for at, _, _ in recognizer.interims] == pytest.approx([0, 0.55])
        speech.ends(800)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("no audio")])
async def test_an_interim_result_that_fails_costs_the_utterance_nothing(error: Exception) -> None:
    recognizer = Recognizer(fails=error)
    microphone = Microphone(recognizer, ENGLISH)
    failed = outcomes("failed")
    async with microphone.utterance() as speech:
        speech.add(1_280)
        speech.request_interim(900, pausing=True)
        await asyncio.sleep(1)
        recognizer.fails = None
        speech.ends(1_000)
    assert outcomes("failed") == failed + 1
    assert [type(message) for message in microphone.sent] == [SpeechStarted, Utterance]
    assert microphone.sent[-1] == Utterance(text="hello", lang="en", start_ms=300, end_ms=1_000)


async def test_an_interim_result_that_is_unsure_is_no_result() -> None:
    recognizer = Recognizer(unsure=True)
    microphone = Microphone(recognizer, ENGLISH)
    async with microphone.utterance() as speech:
        speech.add(1_280)
        speech.request_interim(900, pausing=True)
        await asyncio.sleep(1)
        speech.ends(1_000)
    assert [type(message) for message in microphone.sent] == [SpeechStarted, Utterance]
    assert len(recognizer.finals_ms) == 1


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("no audio")])
async def test_an_utterance_that_fails_is_said_and_ends_without_words(error: Exception) -> None:
    recognizer = Recognizer(fails=error)
    microphone = Microphone(recognizer, ENGLISH)
    failed = utterances("complete", "failed")
    assert (await microphone.says(2_000)).text == ""
    assert [type(message) for message in microphone.sent] == [SpeechStarted, InputError, Utterance]
    assert isinstance(microphone.sent[1], InputError)
    assert microphone.sent[1].code == "asr_failed"
    assert utterances("complete", "failed") == failed + 1
    recognizer.fails = None
    assert (await microphone.says(2_000)).text == "hello", "the next one is heard"


async def test_a_sound_without_words_is_counted_as_nothing() -> None:
    nothing = utterances("complete", "nothing")
    assert (await Microphone(Recognizer(text=""), ENGLISH).says(400)).text == ""
    assert utterances("complete", "nothing") == nothing + 1


async def test_words_beyond_what_a_request_may_carry_are_cut() -> None:
    said = await Microphone(Recognizer(text="x" * 9_000), ENGLISH).says(2_000)
    assert said.text == "x" * limits.MAX_CONTENT_CHARS


async def test_the_language_of_the_microphone_is_not_asked_for() -> None:
    recognizer = Recognizer(speaks="zh")
    microphone = Microphone(recognizer, ENGLISH)
    assert [(await microphone.says(ms)).lang for ms in (400, 5_000, 400)] == ["en"] * 3
    assert recognizer.langs == ["en"] * 3


async def test_a_short_utterance_is_in_the_language_of_the_last_long_one() -> None:
    recognizer = Recognizer(speaks="zh")
    microphone = Microphone(recognizer, UNKNOWN)
    await microphone.says(LANGUAGE_MS - 1)
    await microphone.says(LANGUAGE_MS - 1)
    assert recognizer.langs == [None, None], "a short one decides nothing"
    await microphone.says(LANGUAGE_MS)
    recognizer.speaks = "en"
    assert (await microphone.says(LANGUAGE_MS - 1)).lang == "zh"
    assert recognizer.langs[2:] == [None, "zh"]
    recognizer.text = ""
    await microphone.says(LANGUAGE_MS)
    recognizer.text = "hello"
    assert (await microphone.says(400)).lang == "zh", "noise has no language"
    assert (await microphone.says(LANGUAGE_MS)).lang == "en"
    assert (await microphone.says(400)).lang == "en"


async def test_an_interim_result_detects_the_language_once_there_is_speech_enough() -> None:
    recognizer = Recognizer(speaks="zh")
    microphone = Microphone(recognizer, UNKNOWN)
    await microphone.says(LANGUAGE_MS)
    recognizer.langs.clear()
    async with microphone.utterance() as speech:
        speech.add(1_920)
        for speech_ms in (LANGUAGE_MS - 1, LANGUAGE_MS):
            speech.request_interim(speech_ms, pausing=False)
            await asyncio.sleep(1)
        speech.ends(1_700)
    assert recognizer.langs == ["zh", None, "zh"]


async def test_the_wait_is_measured_from_the_last_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(metrics.UTTERANCE_SECONDS, "observe", waits.append)
    async with Microphone(Recognizer(takes_s=0.25), ENGLISH).utterance() as speech:
        speech.add(1_280)
        await asyncio.sleep(2)
        speech.ends(1_000, over_at=now() - 0.5)
    assert waits == pytest.approx([0.75])

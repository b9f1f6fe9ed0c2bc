import asyncio
from collections.abc import AsyncGenerator

import pytest
from prometheus_client import REGISTRY

from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.errors import ProviderError
from dialog_voice.testing.openai_speech_server import hum
from dialog_voice.visemes.phoneme_table import SILENCE
from dialog_voice.voice import VisemeCue, VoiceAudio, WordCue


class Aloud:
    """A voice that says one thing, or fails, or goes on for ever."""

    name = "aloud"

    def __init__(self, *, fails: bool = False, hangs: bool = False) -> None:
        self.asked: list[str] = []
        self.speaking = asyncio.Event()
        self.stopped = False
        self.closed = False
        self._fails, self._hangs = fails, hangs

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        self.asked.append(text)
        try:
            yield VoiceAudio(
                hum(400),
                (VisemeCue(0, {"aa": 1.0}), VisemeCue(300, SILENCE)),
                (WordCue(0, 0, 2), WordCue(200, 3, 5)),
            )
            self.speaking.set()
            if self._fails:
                raise ProviderError(self.name, "crashed")
            if self._hangs:
                await asyncio.Event().wait()
        finally:
            self.stopped = True

    async def warm(self) -> None: ...

    async def aclose(self) -> None:
        self.closed = True


def failures() -> float:
    labels = {"provider": "aloud-reading", "reason": "crashed"}
    return REGISTRY.get_sample_value("dialog_tts_fallbacks_total", labels) or 0


async def test_a_reading_has_words_shapes_and_a_timbre() -> None:
    reading = await ReferenceSynthesizer(Aloud()).synthesize("so it", "en")
    assert reading is not None
    assert [(word.at_ms, word.start, word.end) for word in reading.words] == [
        (0, 0, 2),
        (200, 3, 5),
    ]
    assert reading.length_ms == 300
    assert reading.bands is not None
    assert len(reading.bands) == 8


async def test_a_voice_that_fails_is_counted_and_leaves_letters() -> None:
    before = failures()
    assert await ReferenceSynthesizer(Aloud(fails=True)).synthesize("so it", "en") is None
    assert failures() == before + 1


async def test_cancelling_stops_the_voice() -> None:
    aloud = Aloud(hangs=True)
    reading = asyncio.create_task(ReferenceSynthesizer(aloud).synthesize("so it", "en"))
    await aloud.speaking.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert aloud.stopped


@pytest.mark.parametrize("text", ["こんにちは", "Привет", "안녕하세요 OK"])
async def test_a_script_that_espeak_does_not_read_is_not_asked_of_it(text: str) -> None:
    aloud = Aloud()
    assert await ReferenceSynthesizer(aloud).synthesize(text, "en") is None
    assert aloud.asked == []


async def test_the_voice_is_the_readers() -> None:
    aloud = Aloud()
    reader = ReferenceSynthesizer(aloud)
    await reader.warm()
    await reader.aclose()
    assert aloud.asked
    assert aloud.closed

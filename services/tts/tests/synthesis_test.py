"""A whole reply in a scripted voice."""

import asyncio
import io
import itertools
import wave
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts.legacy_chain import MouthCue
from dialog_telemetry import metrics
from dialog_voice.errors import ProviderError, VoiceCutOff
from dialog_voice.text.fragmenter import CLAUSE_PAUSE_MS, SENTENCE_PAUSE_MS
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio
from tts import synthesis as module
from tts.synthesis import SynthesizedReply, synthesize

HANG = "hang"
TWO = "今晚玩什么呢？一起来解谜吧！"
Step = int | Exception | str


class Voice:
    """Says a text by its script: milliseconds of sound, an error, or a wait for ever.

    Each try of a text takes its next script.
    """

    name = "scripted"

    def __init__(self, scripts: Mapping[str, Sequence[Sequence[Step]]] | None = None) -> None:
        self.scripts = {text: list(tries) for text, tries in (scripts or {}).items()}
        self.said: list[tuple[str, str]] = []
        self.open = 0

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        self.said.append((text, lang))
        tries = self.scripts.get(text, [[40, 60]])
        at_ms = 0
        self.open += 1
        try:
            for step in tries.pop(0) if len(tries) > 1 else tries[0]:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, str):
                    await asyncio.sleep(3600)
                    continue
                # A number of its own for each sample, so that nothing can change places unseen.
                pcm = b"".join(
                    number.to_bytes(2, "little", signed=True)
                    for number in range(step * BYTES_PER_MS // 2)
                )
                yield VoiceAudio(
                    pcm,
                    (
                        VisemeCue(at_ms + 0.4, {"aa": 1.0}),
                        VisemeCue(at_ms + step / 2, {"sil": 1.0}),
                    ),
                )
                at_ms += step
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


async def spoken(voice: Voice, text: str, within_s: float = 2) -> SynthesizedReply:
    made = await synthesize(voice, text, "zh", within_s)
    assert voice.open == 0
    return made


def offsets(mouth: Sequence[MouthCue]) -> list[int]:
    return [cue.offset_ms for cue in mouth]


async def test_the_file_is_one_wav_of_24_khz_mono_16_bit_with_every_sample() -> None:
    made = await spoken(Voice(), TWO)
    with wave.open(io.BytesIO(made.wav()), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.getnframes() == len(made.pcm) // 2
        assert file.readframes(file.getnframes()) == bytes(made.pcm)
    assert made.audio_ms == 100 + SENTENCE_PAUSE_MS + 100


async def test_the_whole_text_is_said_in_its_order_and_in_the_language_that_was_asked_for() -> None:
    voice = Voice()
    await spoken(voice, TWO)
    assert voice.said == [("今晚玩什么呢？", "zh"), ("一起来解谜吧！", "zh")]


async def test_code_and_addresses_are_not_spelled_out() -> None:
    voice = Voice()
    await synthesize(voice, "Try this:\n```\nx = 1\n```\nIt is on https://a.b/c now.", "en", 5)
    assert [text.split() for text, _ in voice.said] == [
        ["Try", "this:"],
        ["It", "is", "on", "a.b", "now."],
    ]


async def test_the_mouth_follows_the_sound_over_passages_and_rests_in_the_pause_between() -> None:
    made = await spoken(Voice(), TWO)
    second = 100 + SENTENCE_PAUSE_MS
    assert offsets(made.mouth) == [
        0,
        20,
        40,
        70,
        100,
        second,
        second + 20,
        second + 40,
        second + 70,
    ]
    assert made.mouth[4].weights == {"sil": 1.0}
    assert made.mouth[5].weights == {"aa": 1.0}
    pause = bytes(made.pcm[100 * BYTES_PER_MS : second * BYTES_PER_MS])
    assert pause == bytes(len(pause))
    assert any(made.pcm[second * BYTES_PER_MS :])


async def test_within_a_sentence_the_pause_is_short() -> None:
    clause = "she walks along the river and over the old bridge, "
    made = await spoken(Voice(), clause + "and then home again.")
    assert made.audio_ms == 100 + CLAUSE_PAUSE_MS + 100


@pytest.mark.parametrize("text", ["", " \n", "……！？", "🎉🎉"])
async def test_where_there_is_nothing_to_pronounce_nothing_is_missing(text: str) -> None:
    voice = Voice()
    made = await spoken(voice, text)
    assert (made.audio_ms, made.mouth, made.problem, voice.said) == (0, [], None, [])


async def test_a_voice_that_has_no_sound_for_a_passage_is_no_failure() -> None:
    made = await spoken(Voice({"今晚玩什么呢？": [[]]}), TWO)
    assert (made.audio_ms, made.problem, offsets(made.mouth)[0]) == (100, None, 0)


@pytest.mark.parametrize(
    "error", [ProviderError("scripted", "crashed"), VoiceCutOff("scripted", "idle_gap", 40)]
)
async def test_a_passage_that_breaks_off_is_said_once_more_and_never_half(error: Exception) -> None:
    counted = metrics.TTS_FALLBACKS.labels(provider="scripted", reason="retried")
    before = counted._value.get()
    voice = Voice({"一起来解谜吧！": [[40, error], [40, 60]]})
    made = await spoken(voice, TWO)
    assert [text for text, _ in voice.said] == [
        "今晚玩什么呢？",
        "一起来解谜吧！",
        "一起来解谜吧！",
    ]
    assert (made.audio_ms, made.problem) == (200 + SENTENCE_PAUSE_MS, None)
    assert counted._value.get() == before + 1


async def test_a_passage_that_cannot_be_said_is_left_out_whole_and_the_rest_stays() -> None:
    broken = ProviderError("scripted", "crashed", "out of memory")
    text = "今晚玩什么呢？" + "这一句说不出来。" + "一起来解谜吧！"
    made = await spoken(Voice({"这一句说不出来。": [[40, broken]]}), text)
    assert (made.audio_ms, made.problem) == (200 + SENTENCE_PAUSE_MS, "voice_cut")
    assert "out of memory" in made.detail


async def test_a_voice_that_says_nothing_at_all_has_failed() -> None:
    broken: list[list[Step]] = [[40, ProviderError("scripted", "connection")]]
    made = await spoken(Voice({"今晚玩什么呢？": broken, "一起来解谜吧！": broken}), TWO)
    assert (made.audio_ms, made.mouth, made.problem) == (0, [], "voice_failed")


@pytest.mark.parametrize(("slow", "audio_ms"), [("今晚玩什么呢？", 0), ("一起来解谜吧！", 100)])
async def test_a_voice_that_is_too_slow_is_left_with_what_it_has_said_whole(
    slow: str, audio_ms: int
) -> None:
    made = await spoken(Voice({slow: [[40, HANG]]}), TWO, within_s=0.05)
    assert (made.audio_ms, made.problem) == (audio_ms, "voice_timeout")
    assert len(made.mouth) == (4 if audio_ms else 0)


async def test_a_reply_that_is_too_long_ends_after_its_last_whole_passage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_AUDIO_MS", 200 + SENTENCE_PAUSE_MS)
    voice = Voice()
    made = await spoken(voice, TWO + TWO)
    assert (made.audio_ms, made.problem) == (200 + SENTENCE_PAUSE_MS, "voice_too_long")
    assert len(voice.said) == 3, "what nobody will hear is not synthesized"


@given(st.text("ab 。.!，,今晚\n🎉", max_size=60))
def test_every_word_is_said_once_and_the_mouth_never_goes_back(text: str) -> None:
    voice = Voice()
    made = asyncio.run(spoken(voice, text))
    letters = [char for char in text if char.isalnum()]
    assert [char for said, _ in voice.said for char in said if char.isalnum()] == letters
    assert all(early <= late for early, late in itertools.pairwise(offsets(made.mouth)))
    assert all(0 <= offset <= made.audio_ms for offset in offsets(made.mouth))
    assert (made.audio_ms > 0) == bool(letters)
    assert made.problem is None

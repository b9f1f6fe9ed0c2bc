"""The interface of a recognizer, and the one that is used without a model."""

from dataclasses import dataclass
from typing import Final, Protocol

from asr.decoder import RATE, Samples

MIN_SPEECH_S: Final = 0.9
"""Shortest utterance in seconds, with its margins, that counts as speech without a model."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The recognized text, empty without words, and its language (`zh`, `en`)."""

    text: str
    lang: str


class Recognizer(Protocol):
    """Recognizes words in samples of 16 kHz.

    `name` is used in results and on `/readyz`. `warm` is called once, before the other methods.
    `lang` is None where the language is not known. Methods raise RuntimeError or ValueError on
    failure.
    """

    name: str

    async def warm(self) -> None:
        """Load the model."""

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        """Return the words of a recording."""

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        """Return the words of at most half a minute; the user is waiting for them."""

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """Return the words of an unfinished utterance, or None when it is busy or unsure.

        Without `thorough` it is faster and less exact, since another interim result follows.
        """

    async def aclose(self) -> None:
        """Stop recognizing."""


class NullRecognizer:
    """Recognizer without a model.

    Its text says so and gives the length of the recording, so that the reply to it can be honest.
    """

    name: str = "none"

    async def warm(self) -> None:
        """Do nothing: there is no model."""

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        """Return a sentence about the recording in the language `lang`."""
        seconds = round(len(samples) / RATE, 1)
        if (lang or "").startswith("zh"):
            return Transcript(
                f"（没有安装语音识别模型：我发了一段 {seconds:g} 秒的录音，内容无法识别。）", "zh"
            )
        return Transcript(
            f"(No speech model is installed: I sent a recording of {seconds:g} seconds whose words are unknown.)",
            "en",
        )

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        """Return the same sentence; empty text for what is too short to be more than a cough."""
        if len(samples) < MIN_SPEECH_S * RATE:
            return Transcript("", lang or "en")
        return await self.transcribe(samples, lang)

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """Return None: a sentence about the audio would stop a reply as words do."""
        return None

    async def aclose(self) -> None:
        """Do nothing: there is nothing to stop."""

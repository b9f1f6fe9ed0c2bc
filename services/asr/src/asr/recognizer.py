"""Who finds the words in samples: a real model, or one that honestly says that there is none."""

from dataclasses import dataclass
from typing import Final, Protocol

from asr.decoder import RATE, Samples

MIN_SPEECH_S: Final = 0.9
"""Without a model, an utterance with its margins that is shorter is taken for a noise."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words, empty when there are none, and the language (`zh`, `en`) they are in."""

    text: str
    lang: str


class Recognizer(Protocol):
    """`name` goes into results and `/readyz`. `warm` is called once, before the others. All take samples of 16 kHz, and `lang` where it
    is known, and raise RuntimeError or ValueError when they fail.
    """

    name: str

    async def warm(self) -> None:
        """Load what takes long."""

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        """The words of a recording."""

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        """The words of at most half a minute, for somebody who waits for them."""

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """The same for an utterance that still goes on. None: nobody can say, or there is no time for it now.

        Not `thorough`: sooner and less exactly, since another look follows.
        """

    async def aclose(self) -> None:
        """Hear nothing more."""


class NullRecognizer:
    """No model: the text says so, and how long the recording was, so that the answer to it is honest too."""

    name: str = "none"

    async def warm(self) -> None:
        """Nothing to load."""

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        """A sentence about the recording, in the language asked for."""
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
        """The same sentence; nothing for what is too short to be more than a cough."""
        if len(samples) < MIN_SPEECH_S * RATE:
            return Transcript("", lang or "en")
        return await self.transcribe(samples, lang)

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """None: a sentence about the sound would stop a reply as if it were words."""
        return None

    async def aclose(self) -> None:
        """Nothing to end."""

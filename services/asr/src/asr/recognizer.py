"""Who finds the words in samples: a real model, or one that honestly says that there is none."""

from dataclasses import dataclass
from typing import Protocol

from asr.decoder import RATE, Samples


@dataclass(frozen=True, slots=True)
class Heard:
    """The words, empty when there are none, and the language (`zh`, `en`) they are in."""

    text: str
    lang: str


class Recognizer(Protocol):
    """`name` goes into results and `/readyz`. `warm` is called once, before the first `hear`."""

    name: str

    async def warm(self) -> None:
        """Load what takes long."""

    async def hear(self, samples: Samples, lang: str | None) -> Heard:
        """The words in samples of 16 kHz; `lang` where it is known."""


class FakeRecognizer:
    """No model: the text says so, and how long the recording was, so that the answer to it is honest too."""

    name: str = "none"

    async def warm(self) -> None:
        """Nothing to load."""

    async def hear(self, samples: Samples, lang: str | None) -> Heard:
        """A sentence about the recording, in the language asked for."""
        seconds = round(len(samples) / RATE, 1)
        if (lang or "").startswith("zh"):
            return Heard(f"（没有安装语音识别模型：我发了一段 {seconds:g} 秒的录音，内容无法识别。）", "zh")
        return Heard(
            f"(No speech model is installed: I sent a recording of {seconds:g} seconds whose words are unknown.)", "en"
        )

"""A language model and a voice with exactly known timing, for the bench and for tests that count.

They are plugged in by name, as a user plugs in his own: LLM_CHAIN=e2e.harness.fake_models:brain, VOICE_CHAIN=e2e.harness.fake_models:voice.
"""

import asyncio
import math
import os
import struct
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from dialog_llm.provider import GenerationOptions, Message
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio, WordCue

TEXT = """
sure that sounds like a lovely plan for tonight and I would say we begin with something slow
then talk about your day while the music plays and later we can try that new game together
"""
WORDS = TEXT.split()
PIECE_MS = 200


@dataclass
class FakeBrain:
    """`words` words, the first after `first_s`, one every `word_s`.

    By the clock, as a model behind a socket, which waits for no reader.
    """

    first_s: float = 0.0
    word_s: float = 0.0
    words: int = 36
    name: str = "fake"

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        clock = asyncio.get_running_loop().time
        began = clock()
        for number in range(self.words):
            wait = began + self.first_s + number * self.word_s - clock()
            if wait > 0:
                await asyncio.sleep(wait)
            yield WORDS[number % len(WORDS)] + (". " if number == self.words - 1 else " ")

    async def warm(self) -> None:
        return

    async def aclose(self) -> None:
        return


@dataclass
class FakeVoice:
    """A tone of `char_ms` a character, the first bytes after `first_s`.

    The mouth opens and closes, every word has its place.
    """

    first_s: float = 0.0
    char_ms: int = 60
    name: str = "fake"

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        if self.first_s:
            await asyncio.sleep(self.first_s)
        total = len(text) * self.char_ms
        words, at = [], 0
        for word in text.split(" "):
            if word:
                words.append(WordCue(at * self.char_ms, at, at + len(word)))
            at += len(word) + 1
        for start in range(0, total, PIECE_MS):
            length = min(PIECE_MS, total - start)
            cues = tuple(
                VisemeCue(start + step, {"aa": 0.2 + 0.6 * (step // 80 % 2)})
                for step in range(0, length, 80)
            )
            here = tuple(word for word in words if start <= word.offset_ms < start + length)
            yield VoiceAudio(_TONE[: length * BYTES_PER_MS], cues, here)

    async def warm(self) -> None:
        return

    async def aclose(self) -> None:
        return


_TONE = b"".join(
    struct.pack("<h", round(8000 * math.sin(2 * math.pi * 220 * n / 24000)))
    for n in range(24 * PIECE_MS)
)


def brain() -> FakeBrain:
    return FakeBrain(
        first_s=float(os.environ.get("FAKE_FIRST_TOKEN_S", "0")),
        word_s=float(os.environ.get("FAKE_WORD_S", "0")),
        words=int(os.environ.get("FAKE_WORDS", "36")),
    )


def voice() -> FakeVoice:
    return FakeVoice(
        first_s=float(os.environ.get("FAKE_VOICE_S", "0")),
        char_ms=int(os.environ.get("FAKE_CHAR_MS", "60")),
    )

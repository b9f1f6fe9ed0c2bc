"""The boundary to voices.

Voices and plug-ins differ in what they raise and what they send: samples of another type, half
samples, compressed audio, cues outside of the text. VoiceBoundary turns that into audio in the one
format or one typed failure, so that the engine handles one form only.

Times are limited here and not only by the voice, because a plug-in may never answer. Exceptions and
cancellation are handled by `dialog_providers.untrusted_provider`; the choice of another voice after
a failure is in `fallback.py`.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

from dialog_contracts.visemes import VISEMES
from dialog_providers.untrusted_provider import (
    END,
    DeadlineReached,
    UntrustedProvider,
    next_before,
)
from dialog_voice.audio.format_detection import kind_of
from dialog_voice.errors import ProviderError, VoiceError
from dialog_voice.voice import VisemeCue, Voice, VoiceAudio, WordCue

_SILENT_S: Final = 20.0
"""Longest wait in seconds for the next piece of a plug-in.

Our own voices stop much earlier, with a better reason.
"""


class VoiceBoundary:
    """A `Voice` around a voice that is not trusted.

    Every exception is a `ProviderError` that names the voice and the cause. Half a sample waits for
    its other half. What is not audio, or has invalid cues, fails with `bad_audio`.
    """

    def __init__(self, voice: Voice, *, silent_s: float = _SILENT_S) -> None:
        self._voice, self._silent_s = voice, silent_s
        self._untrusted = UntrustedProvider(voice, ProviderError, VoiceError)
        self.name, self.about = self._untrusted.name, self._untrusted.about

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield one fragment. Raises `ProviderError`."""
        now = asyncio.get_running_loop().time
        odd = b""
        delivered = False
        async with (
            self._untrusted.failures(),
            self._untrusted.items(self._voice.synthesize(text, lang)) as items,
        ):
            while (
                item := await self._next(items, now() + self._silent_s, delivered=delivered)
            ) is not END:
                audio = self._checked(item, len(text))
                if not delivered and (kind := kind_of(audio.pcm, whole=False)) not in ("PCM", None):
                    raise ProviderError(self.name, "bad_audio", f"{kind} where samples should be")
                pcm = odd + audio.pcm
                pcm, odd = (pcm[:-1], pcm[-1:]) if len(pcm) % 2 else (pcm, b"")
                if pcm:
                    delivered = True
                    yield audio if pcm is audio.pcm else replace(audio, pcm=pcm)

    async def warm(self) -> None:
        """Warm the voice; call its `try_out` too, where it has one that is free of charge.

        Raises `ProviderError`.
        """
        await self._untrusted.warm("warm", "try_out")

    async def aclose(self) -> None:
        """Close the voice; never raises."""
        await self._untrusted.aclose()

    async def _next(self, items: AsyncIterator[object], end: float, *, delivered: bool) -> object:
        try:
            return await next_before(items, end)
        except DeadlineReached as error:
            raise ProviderError(
                self.name, "idle_gap" if delivered else "timeout_first_audio"
            ) from error

    def _checked(self, item: object, chars: int) -> VoiceAudio:
        if not isinstance(item, VoiceAudio):
            raise ProviderError(self.name, "bad_audio", f"a piece of type {type(item).__name__}")
        if not isinstance(item.pcm, bytes):
            if not isinstance(item.pcm, bytearray | memoryview):
                raise ProviderError(
                    self.name, "bad_audio", f"samples of type {type(item.pcm).__name__}"
                )
            item = replace(item, pcm=bytes(item.pcm))
        if not all(map(_valid_viseme, item.visemes)):
            raise ProviderError(self.name, "bad_audio", "a mouth shape that is none")
        if not all(_valid_word(word, chars) for word in item.words):
            raise ProviderError(self.name, "bad_audio", "a word outside of the text")
        return item


def _valid_viseme(cue: object) -> bool:
    return (
        isinstance(cue, VisemeCue)
        and _finite(cue.offset_ms)
        and isinstance(cue.weights, Mapping)
        and all(
            name in VISEMES and _finite(weight) and 0 <= weight <= 1
            for name, weight in cue.weights.items()
        )
    )


def _valid_word(cue: object, chars: int) -> bool:
    if not isinstance(cue, WordCue) or not _finite(cue.offset_ms):
        return False
    return (
        isinstance(cue.text_start, int)
        and isinstance(cue.text_end, int)
        and 0 <= cue.text_start <= cue.text_end <= chars
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

"""The border to voices: whatever a voice or a plug-in raises or sends becomes sound in the one format, or its typed failure."""

import asyncio
import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog

from dialog_contracts.visemes import VISEMES
from dialog_voice.errors import ProviderError, VoiceError
from dialog_voice.sound_kind import kind_of
from dialog_voice.voice import VisemeCue, Voice, VoiceAudio, WordCue
from service_runtime.strangers import about, asked_to_stop, call_if_there, close_stranger, name_of

_log = structlog.get_logger("voice")

_WARM_WITHIN_S: Final = 30.0
_SILENT_S: Final = 20.0
"""Voices of ours give up much earlier, with a better reason; a plug-in that hangs ends here."""


class Border:
    """A `Voice` around another one, which is not trusted.

    Every exception of it is a `ProviderError` that names it and the cause; half a sample waits for its other half; what is no sound, or
    has cues that nobody could show, is `bad_audio`.
    """

    def __init__(self, voice: Voice, *, silent_s: float = _SILENT_S) -> None:
        self.name, self.about = name_of(voice), about(voice)
        self._voice, self._silent_s = voice, silent_s

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield one fragment. Raises `ProviderError`."""
        now = asyncio.get_running_loop().time
        odd = b""
        delivered = False
        async with self._failures():
            source: AsyncIterator[object] = self._voice.synthesize(text, lang)
            try:
                if inspect.isawaitable(source):
                    # `async def synthesize` with a `return` in it.
                    source = await source
                pieces = aiter(source)
                while True:
                    end = now() + self._silent_s
                    try:
                        async with asyncio.timeout_at(end):
                            item = await anext(pieces, _NO_MORE)
                    except TimeoutError as error:
                        if now() < end:
                            raise
                        raise ProviderError(self.name, "idle_gap" if delivered else "timeout_first_audio") from error
                    if item is _NO_MORE:
                        break
                    audio = self._checked(item, len(text))
                    if not delivered and (kind := kind_of(audio.pcm, whole=False)) not in ("PCM", None):
                        raise ProviderError(self.name, "bad_audio", f"{kind} where samples should be")
                    pcm = odd + audio.pcm
                    pcm, odd = (pcm[:-1], pcm[-1:]) if len(pcm) % 2 else (pcm, b"")
                    if pcm:
                        delivered = True
                        yield audio if pcm is audio.pcm else replace(audio, pcm=pcm)
            finally:
                await close_stranger(source, self.name)

    async def warm(self) -> None:
        """See `Voice`; a voice that has a way to be tried out free of charge, is. Raises `ProviderError`."""
        async with self._failures():
            try:
                async with asyncio.timeout(_WARM_WITHIN_S) as limit:
                    await call_if_there(self._voice, "warm")
                    await call_if_there(self._voice, "try_out")
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise ProviderError(self.name, "connection", f"not warm after {_WARM_WITHIN_S:.0f} s") from error

    async def aclose(self) -> None:
        """Close it; what that raises is logged, because nobody could do more about it."""
        try:
            await call_if_there(self._voice, "aclose")
        # The border to voices and plug-ins.
        except Exception as error:  # noqa: BLE001
            _log.warning("voice_close_failed", provider=self.name, error=repr(error)[:200])

    def _checked(self, item: object, chars: int) -> VoiceAudio:
        if not isinstance(item, VoiceAudio):
            raise ProviderError(self.name, "bad_audio", f"a piece of type {type(item).__name__}")
        if not isinstance(item.pcm, bytes):
            if not isinstance(item.pcm, bytearray | memoryview):
                raise ProviderError(self.name, "bad_audio", f"samples of type {type(item.pcm).__name__}")
            item = replace(item, pcm=bytes(item.pcm))
        if not all(map(_showable, item.visemes)):
            raise ProviderError(self.name, "bad_audio", "a mouth shape that is none")
        if not all(_speakable(word, chars) for word in item.words):
            raise ProviderError(self.name, "bad_audio", "a word outside of the text")
        return item

    @asynccontextmanager
    async def _failures(self) -> AsyncGenerator[None, None]:
        try:
            yield
        except VoiceError:
            raise
        except asyncio.CancelledError as error:
            if asked_to_stop():
                raise
            # Not we: something inside the voice was cancelled.
            raise ProviderError(self.name, "unexpected", "cancelled within the voice") from error
        # The border to voices and plug-ins: whatever it is, it is the voice's failure.
        except Exception as error:
            raise ProviderError(self.name, "unexpected", f"{type(error).__name__} {error}") from error


def _showable(cue: object) -> bool:
    return (
        isinstance(cue, VisemeCue)
        and _finite(cue.offset_ms)
        and isinstance(cue.weights, Mapping)
        and all(name in VISEMES and _finite(weight) and 0 <= weight <= 1 for name, weight in cue.weights.items())
    )


def _speakable(cue: object, chars: int) -> bool:
    if not isinstance(cue, WordCue) or not _finite(cue.offset_ms):
        return False
    return isinstance(cue.text_start, int) and isinstance(cue.text_end, int) and 0 <= cue.text_start <= cue.text_end <= chars


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


_NO_MORE = object()

"""Several voices in order of preference, used as one.

A fragment that fails before its first sample is synthesized by the next voice. One that fails later
raises VoiceCutOff, because a change of voice inside a word is worse than a gap.

A voice that failed is not tried during a cooldown, so that the next fragment of the same turn
starts with the next voice at once instead of waiting for the same timeout again. Failures that
concern one text only (`bad_request`, `empty`) start no cooldown. The states are in
`dialog_providers.provider_states`; each voice is isolated by a VoiceBoundary (`boundary.py`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from dialog_contracts.http import ProviderReport
from dialog_providers.provider_states import ProviderStates
from dialog_providers.untrusted_provider import about, name_of
from dialog_telemetry import metrics
from dialog_voice.boundary import VoiceBoundary
from dialog_voice.errors import AllVoicesFailed, VoiceCutOff, VoiceError
from dialog_voice.voice import BYTES_PER_MS, Voice, VoiceAudio

_log = structlog.get_logger("voice")

# These reasons concern one text; all others say that the voice does not work.
_TEXT_REASONS = frozenset({"bad_request", "empty"})


class FallbackVoice:
    """A `Voice` that uses the first of `voices` that works, each behind a VoiceBoundary.

    A voice that failed is not tried for `cool_down_s` seconds of `clock`; when all are cooling
    down, all are tried.
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        *,
        name: str = "chain",
        cool_down_s: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._voices = tuple(
            each if isinstance(each, FallbackVoice | VoiceBoundary) else VoiceBoundary(each)
            for each in voices
        )
        named = [(each.name, about(each)) for each in self._voices]
        self._why: dict[int, str] = {}
        self._states = ProviderStates(named, cool_down_s=cool_down_s, clock=clock)

    @classmethod
    def from_voices(cls, voice: Voice) -> "FallbackVoice":
        """Return a FallbackVoice with this one voice, under its name.

        A FallbackVoice is returned unchanged.
        """
        return voice if isinstance(voice, FallbackVoice) else cls([voice], name=name_of(voice))

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield one fragment.

        Raises `VoiceCutOff` after some audio, and `AllVoicesFailed` before any.
        """
        failures: list[tuple[str, str]] = []
        last: VoiceError | None = None
        cold = self._states.cooling()
        for position, voice in enumerate(self._voices):
            if position in cold:
                self._count_fallback(voice, "cooling_down", failures)
                continue
            delivered = 0
            try:
                async with aclosing(voice.synthesize(text, lang)) as pieces:
                    async for piece in pieces:
                        if not delivered:
                            self._on_answered(position)
                        delivered += len(piece.pcm)
                        yield piece
                return
            except VoiceError as error:
                if error.reason not in _TEXT_REASONS:
                    self._on_failed(position, error, cools=True)
                if delivered:
                    self._count_fallback(
                        voice,
                        error.reason,
                        failures,
                        detail=str(error),
                        delivered_ms=delivered / BYTES_PER_MS,
                    )
                    raise VoiceCutOff(voice.name, error.reason, delivered / BYTES_PER_MS) from error
                last = error
                self._count_fallback(voice, error.reason, failures, detail=str(error))
        raise AllVoicesFailed(failures, last) from last

    async def warm(self) -> None:
        """Warm all voices that are not warm, concurrently.

        One that fails is logged and stays in the list, since it may recover. Raises
        `AllVoicesFailed` where none is warm.
        """
        found = await asyncio.gather(*(self._warm(position) for position in self._states.unwarmed))
        failures = [failure for failure in found if failure is not None]
        if len(failures) == len(self._voices):
            raise AllVoicesFailed(
                [(name, error.reason) for name, error in failures], failures[-1][1]
            ) from failures[-1][1]

    async def _warm(self, position: int) -> tuple[str, VoiceError] | None:
        voice = self._voices[position]
        try:
            await voice.warm()
        except VoiceError as error:
            self._on_failed(position, error, cools=False)
            _log.warning(
                "voice_warm_failed", provider=voice.name, reason=error.reason, detail=str(error)
            )
            return voice.name, error
        self._on_answered(position)
        return None

    @property
    def any_warm(self) -> bool:
        """Whether at least one voice answered its last call."""
        return len(self._states.unwarmed) < len(self._voices)

    @property
    def all_warm(self) -> bool:
        """Whether every voice answered its last call."""
        return not self._states.unwarmed

    def in_use(self) -> tuple[str, dict[str, str]]:
        """Return the voice that speaks now, by the last fragments.

        The second value maps the voices before it to the reason why they do not speak.
        """
        for position, voice in enumerate(self._voices):
            if position not in self._why:
                name, within = (
                    voice.in_use() if isinstance(voice, FallbackVoice) else (voice.name, {})
                )
                return name, {**self._reasons(position), **within}
        return self.name, self._reasons(len(self._voices))

    def _reasons(self, until: int) -> dict[str, str]:
        return {self._voices[at].name: why for at, why in sorted(self._why.items()) if at < until}

    def report(self) -> ProviderReport:
        """Return the report for `/readyz`."""
        return self._states.report()

    async def aclose(self) -> None:
        """Close every voice."""
        for voice in self._voices:
            await voice.aclose()

    def _on_answered(self, position: int) -> None:
        self._why.pop(position, None)
        self._states.answered(position)

    def _on_failed(self, position: int, error: VoiceError, *, cools: bool) -> None:
        self._why[position] = error.reason
        self._states.failed(position, str(error), cools=cools)

    def _count_fallback(
        self,
        voice: Voice,
        reason: str,
        failures: list[tuple[str, str]],
        detail: str | None = None,
        delivered_ms: float = 0.0,
    ) -> None:
        failures.append((voice.name, reason))
        metrics.TTS_FALLBACKS.labels(provider=voice.name, reason=reason).inc()
        _log.warning(
            "voice_fell_through",
            provider=voice.name,
            reason=reason,
            detail=detail,
            delivered_ms=delivered_ms,
        )

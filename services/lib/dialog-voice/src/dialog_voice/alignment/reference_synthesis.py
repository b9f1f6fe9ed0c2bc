"""Reference synthesis: espeak speaks a fragment to get the times of its words and sounds.

Its audio is only compared with that of a voice that does not report times.
"""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import structlog

from dialog_contracts.writing_systems import is_han
from dialog_telemetry import metrics
from dialog_voice.alignment.reference import ReferenceTimeline, from_synthesis
from dialog_voice.errors import VoiceError
from dialog_voice.voice import Voice, VoiceAudio

_log = structlog.get_logger("voice")


class ReferenceSynthesizer:
    """Shared by all voices of a process.

    `voice` must report word times and mouth shapes; the synthesizer closes it.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    async def synthesize(self, text: str, lang: str) -> ReferenceTimeline | None:
        """Return the timeline of a text, or None where a timeline from letters has to do.

        That is for a script that the voice cannot speak, and, logged and counted, after a failure.
        Cancelling the call stops the voice.
        """
        if not _is_speakable(text):
            return None
        pieces: list[VoiceAudio] = []
        try:
            async with aclosing(self._voice.synthesize(text, lang)) as spoken:
                async for piece in spoken:
                    pieces.append(piece)  # noqa: PERF401 - a comprehension would not close it
        except VoiceError as error:
            metrics.TTS_FALLBACKS.labels(
                provider=f"{self._voice.name}-reading", reason=error.reason
            ).inc()
            _log.warning(
                "read_by_letters", provider=self._voice.name, reason=error.reason, detail=str(error)
            )
            return None
        # In a thread, because importing numpy takes a tenth of a second.
        return await asyncio.to_thread(_reference, text, pieces)

    async def warm(self) -> None:
        """Start the voice and import the aligner. A failure is logged, as in `synthesize`."""
        await self.synthesize("好。 OK.", "zh")

    async def aclose(self) -> None:
        """Close the voice."""
        await self._voice.aclose()


def _is_speakable(text: str) -> bool:
    """Return whether at least half of the letters are Latin or Chinese."""
    letters = [character for character in text if character.isalpha()]
    return 2 * sum(character < "\u0250" or is_han(character) for character in letters) >= len(
        letters
    )


def _reference(text: str, pieces: list[VoiceAudio]) -> ReferenceTimeline | None:
    from dialog_voice.alignment import aligner as _listener  # noqa: F401 - loaded here, off the event loop
    from dialog_voice.alignment import mel_bands
    from dialog_voice.voice import BYTES_PER_MS

    pcm = b"".join(piece.pcm for piece in pieces)
    read = from_synthesis(text, pieces, len(pcm) / BYTES_PER_MS)
    if read is None:
        return None
    reading, clock = read
    return replace(reading, bands=mel_bands.bands_along(pcm, clock, reading.length_ms))

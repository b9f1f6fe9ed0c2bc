"""The interface of a voice: text in; audio, mouth shapes and word positions out as they are made.

There is one audio format: s16le, 24 000 Hz, mono. Offsets are ms from the start of the fragment's
audio as it is yielded, that is after resampling and after silence was trimmed.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

SAMPLE_RATE: Final = 24_000
BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000


@dataclass(frozen=True, slots=True)
class VisemeCue:
    """The mouth has this shape from `offset_ms` on, until the next cue."""

    offset_ms: float
    weights: Mapping[str, float]
    """Oculus-15 names (sil PP FF TH DD kk CH SS nn RR aa E ih oh ou) → 0..1.

    Missing names are 0.
    """


@dataclass(frozen=True, slots=True)
class WordCue:
    """The characters `text_start` to `text_end` (exclusive) of the fragment begin at `offset_ms`.

    An empty cue (0, 0) says that no word has begun yet: for a voice that reports no words at all,
    times are estimated.
    """

    offset_ms: float
    text_start: int
    text_end: int


@dataclass(frozen=True, slots=True)
class VoiceAudio:
    """A piece of a fragment's audio: never empty, a multiple of two bytes long.

    Its cues may lie in this piece or after it, never before its start; over a fragment their
    offsets never decrease.
    """

    pcm: bytes
    visemes: tuple[VisemeCue, ...] = ()
    words: tuple[WordCue, ...] = ()


class Voice(Protocol):
    """One TTS voice, shared by all sessions; every method may be called concurrently."""

    name: str
    """Short and stable name, a label of metrics and logs."""

    def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield the audio of one fragment as it is made.

        Nothing when `text` has nothing to pronounce.

        `lang` is a BCP 47 tag ("zh-CN", "en") and decides where the script does not. Closing the
        generator, or cancelling the task that waits in it, stops the synthesis and closes its
        sockets. A consumer that may stop early wraps it in `contextlib.aclosing`. Raises
        `dialog_voice.errors.VoiceError`.
        """
        ...

    async def warm(self) -> None:
        """Do what would delay the first call. Raises `VoiceError`."""
        ...

    async def aclose(self) -> None:
        """Close processes and connections; no synthesis may be running."""
        ...

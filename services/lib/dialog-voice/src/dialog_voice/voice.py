"""What the engine knows about a voice: text goes in; audio, mouth shapes and word positions come out while they are made.

There is one format everywhere: s16le, 24 000 Hz, mono. Offsets are milliseconds from the start of the fragment's audio as it is
yielded, so after resampling and after silence was trimmed away.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

SAMPLE_RATE: Final = 24_000
BYTES_PER_MS: Final = SAMPLE_RATE * 2 // 1000


@dataclass(frozen=True, slots=True)
class VisemeCue:
    """From `offset_ms` on, until the next cue, the mouth has this shape."""

    offset_ms: float
    weights: Mapping[str, float]
    """Oculus-15 names (sil PP FF TH DD kk CH SS nn RR aa E ih oh ou) to 0..1; names left out are 0."""


@dataclass(frozen=True, slots=True)
class WordCue:
    """At `offset_ms` the characters `text_start` to `text_end` (exclusive) of the fragment's text begin to sound.

    An empty one (0, 0) says that nothing is said yet: a voice that tells no words at all is guessed at.
    """

    offset_ms: float
    text_start: int
    text_end: int


@dataclass(frozen=True, slots=True)
class VoiceAudio:
    """A piece of a fragment's audio, of any length that is a multiple of two bytes, never empty.

    Its cues may lie in this piece or after it, never before its start; over a fragment their offsets never decrease.
    """

    pcm: bytes
    visemes: tuple[VisemeCue, ...] = ()
    words: tuple[WordCue, ...] = ()


class Voice(Protocol):
    """One way to speak, shared by all sessions; every method may be called concurrently."""

    name: str
    """Short and stable: a label of metrics and logs."""

    def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        """Yield the audio of one fragment as it is made; nothing at all when there is nothing in `text` to pronounce.

        `lang` is a BCP 47 tag ("zh-CN", "en") and decides where the script does not. Closing the generator, or cancelling the
        task that waits in it, stops the synthesis and closes its sockets. A consumer that may leave early holds it in
        `contextlib.aclosing`. Raises `dialog_voice.errors.VoiceError`.
        """
        ...

    async def warm(self) -> None:
        """Do what the first call would otherwise pay for. Raises `VoiceError` when that fails."""
        ...

    async def aclose(self) -> None:
        """Free processes and connections; no synthesis may be running."""
        ...

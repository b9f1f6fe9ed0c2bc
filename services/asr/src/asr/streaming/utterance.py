"""One utterance in progress: its audio, and requests for its words."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from asr.decoder import Samples
from asr.streaming.endpointing import SpeechEnded, SpeechStarted
from asr.streaming.vad import FRAME_MS


@dataclass(slots=True)
class SpeechSegment:
    """The audio of one utterance; `frames` begin at `began.window_ms`.

    The pipeline writes it and the transcriber reads it, on one event loop.
    """

    began: SpeechStarted
    frames: list[Samples]
    end: SpeechEnded | None = None
    over_at: float = 0.0
    """Time of the event loop at which its last voice arrived; set with `end`."""

    decode: bool = False
    """Whether an interim result is requested."""

    pausing: bool = False
    speech_ms: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def until_ms(self) -> int:
        """Audio time of the end of its frames."""
        return self.began.window_ms + len(self.frames) * FRAME_MS

    def request_interim(self, speech_ms: int, *, pausing: bool) -> None:
        """Request an interim result after this much speech.

        `pausing`: these may be all the words of the utterance.
        """
        self.decode, self.speech_ms, self.pausing = True, speech_ms, pausing
        self.changed.set()

    def finish(self, end: SpeechEnded, over_at: float) -> None:
        """Mark the end: no more frames follow."""
        self.end, self.over_at = end, over_at
        self.changed.set()

    def samples(self, until_ms: int | None = None) -> Samples:
        """Return all samples so far, or those up to this audio time."""
        frames = (
            self.frames
            if until_ms is None
            else self.frames[: -(-(until_ms - self.began.window_ms) // FRAME_MS)]
        )
        return np.concatenate(frames)

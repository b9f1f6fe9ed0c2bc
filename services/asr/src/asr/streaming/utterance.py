"""One utterance in the making: its sound, and what was asked about it."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from asr.decoder import Samples
from asr.streaming.endpointing import SpeechEnded, SpeechStarted
from asr.streaming.vad import FRAME_MS


@dataclass(slots=True)
class SpeechSegment:
    """`frames` begin at `began.window_ms`. It is written by who hears frames and read by who finds the words, on one event loop."""

    began: SpeechStarted
    frames: list[Samples]
    end: SpeechEnded | None = None
    over_at: float = 0.0
    """When its last voice arrived, by the event loop's clock; set with `end`."""

    decode: bool = False
    """Somebody wants to know what was said so far."""

    pausing: bool = False
    speech_ms: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def until_ms(self) -> int:
        """Audio time up to which it was heard."""
        return self.began.window_ms + len(self.frames) * FRAME_MS

    def request_interim(self, speech_ms: int, *, pausing: bool) -> None:
        """Its words are wanted, after so much speech; `pausing`: they may be all."""
        self.decode, self.speech_ms, self.pausing = True, speech_ms, pausing
        self.changed.set()

    def finish(self, end: SpeechEnded, over_at: float) -> None:
        """No more frames come."""
        self.end, self.over_at = end, over_at
        self.changed.set()

    def samples(self, until_ms: int | None = None) -> Samples:
        """What was heard so far, or up to then."""
        frames = (
            self.frames
            if until_ms is None
            else self.frames[: -(-(until_ms - self.began.window_ms) // FRAME_MS)]
        )
        return np.concatenate(frames)

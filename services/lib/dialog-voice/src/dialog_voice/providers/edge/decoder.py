"""Decodes Edge's messages into audio with cues.

MP3 is decoded, silence is trimmed, and word times are moved accordingly.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from dialog_voice.audio.mp3 import CODEC_DELAY_SAMPLES, Mp3Stream
from dialog_voice.audio.silence_trimmer import SilenceTrimmer
from dialog_voice.visemes.estimator import VisemeEstimator
from dialog_voice.voice import BYTES_PER_MS, SAMPLE_RATE, VoiceAudio, WordCue

_TICKS_PER_MS: Final = 10_000


class EdgeFragmentDecoder:
    """Decodes one fragment of `text`, in one or several passages, each a turn of the service."""

    def __init__(self, text: str, *, lead_ms: float, tail_ms: float) -> None:
        self._text = text
        self._lead_ms = lead_ms
        self._tail_ms = tail_ms
        self._estimator = VisemeEstimator(text)
        self._words: deque[tuple[float, float, int, int]] = deque()
        self._sent_bytes = 0
        self._found = 0
        self.begin_passage(0)

    @property
    def delivered(self) -> bool:
        """Whether any audio has been yielded."""
        return self._sent_bytes > 0

    def begin_passage(self, text_start: int) -> None:
        """Begin a new turn of the service at `text_start` of the text.

        Its times count from 0.
        """
        self._mp3 = Mp3Stream()
        self._trimmer = SilenceTrimmer(SAMPLE_RATE, self._lead_ms, self._tail_ms)
        self._base_ms = self._sent_bytes / BYTES_PER_MS
        self._found = max(self._found, text_start)
        self._words.clear()

    def push(self, message: dict[str, Any]) -> Iterator[VoiceAudio]:
        """Process a message of edge-tts; yield audio when there is some. Raises `BadAudio`."""
        if message["type"] == "WordBoundary":
            self._add_word(message)
        elif message["type"] == "audio":
            pcm = self._mp3.push(message["data"])
            if pcm:
                yield from self._send(self._trimmer.push(np.frombuffer(pcm, dtype="<i2")).tobytes())

    def finish_passage(self) -> Iterator[VoiceAudio]:
        """Yield the remaining silence at the end of the turn."""
        yield from self._send(self._trimmer.finish().tobytes())

    def _add_word(self, message: dict[str, Any]) -> None:
        """Find the word in the text after the last one.

        A word that the service spells differently (3 as three) is skipped.
        """
        word = str(message["text"])
        start = self._text.find(word, self._found)
        if start < 0 or not word:
            return
        self._found = start + len(word)
        delay_ms = CODEC_DELAY_SAMPLES * 1000 / SAMPLE_RATE
        offset_ms = message["offset"] / _TICKS_PER_MS + delay_ms
        self._words.append((offset_ms, message["duration"] / _TICKS_PER_MS, start, self._found))

    def _send(self, pcm: bytes) -> Iterator[VoiceAudio]:
        if not pcm:
            return
        start_ms = self._sent_bytes / BYTES_PER_MS
        self._sent_bytes += len(pcm)
        end_ms = self._sent_bytes / BYTES_PER_MS
        dropped_ms = self._trimmer.dropped * 1000 / SAMPLE_RATE
        cues: list[WordCue] = []
        # Words wait for their audio: only then is the length of the silence trimmed before them
        # known.
        while self._words and (at := self._base_ms + self._words[0][0] - dropped_ms) < end_ms:
            _, duration_ms, start, end = self._words.popleft()
            cue = WordCue(max(at, start_ms), start, end)
            self._estimator.add_word(cue, duration_ms)
            cues.append(cue)
        yield VoiceAudio(pcm, self._estimator.push(pcm), tuple(cues))

"""A fragment of a voice without word times: holds its audio and adds words and mouth shapes.

Cues cannot be taken back once they are released, so they are made when the audio is released: by
then more is known, at best the end of the audio. There is no I/O.
"""

from typing import Final

from dialog_voice.alignment.reference import ReferenceTimeline, Word, from_letters
from dialog_voice.alignment.speaking_rate import Aligner, RateAligner, SpeakingRate
from dialog_voice.audio.loudness import QUIET, STEP_BYTES, STEP_MS, MouthOpening, rms
from dialog_voice.visemes.phoneme_table import SILENCE, Weights
from dialog_voice.voice import BYTES_PER_MS, VisemeCue, VoiceAudio, WordCue

_LATE_STEPS: Final = 100
"""Number of released steps (4 s) after which a reference is ignored.

Catching up with them would block other tasks.
"""


class UnalignedSegment:
    """The audio of one fragment.

    `add` audio as it arrives and call `end`; `use_reference` when a better timeline is ready;
    `pull` audio when it is due; `learn_rate` at the end.
    """

    def __init__(self, text: str, pace: SpeakingRate) -> None:
        self._rate = pace
        self._reference = from_letters(text)
        self._aligner: Aligner = RateAligner(self._reference.length_ms, pace, STEP_MS)
        self._pcm = bytearray()
        self._pulled = 0
        # For each step: its loudness, and whether the words continue in it.
        self._loud: list[float] = []
        self._open: list[bool] = []
        self._steps_taken = 0
        self._left: int | None = None
        self._position: float | None = None
        self._emitted_until = -1
        self._mouth_opening = MouthOpening()
        self._shown: Weights | None = None

    @property
    def pulled_ms(self) -> float:
        """Length of the released audio in ms."""
        return self._pulled / BYTES_PER_MS

    @property
    def waiting_ms(self) -> float:
        """Length of the audio that waits in ms."""
        return (len(self._pcm) - self._pulled) / BYTES_PER_MS

    def add(self, pcm: bytes) -> None:
        """Add audio that arrived; whole samples only."""
        self._pcm += pcm
        while (len(self._loud) + 1) * STEP_BYTES <= len(self._pcm):
            self._measure()

    def end(self) -> None:
        """Mark the end: the end of the audio is the end of the text."""
        if len(self._loud) * STEP_BYTES < len(self._pcm):
            self._measure()
        while self._open and self._loud[-1] < QUIET and len(self._loud) > self._steps_taken:
            self._loud.pop()
            self._open.pop()
        self._left = sum(self._open[self._steps_taken :])

    def learn_rate(self) -> None:
        """Update the voice's speaking rate, if the end has arrived.

        Call it once, when no better reference will come.
        """
        if self._left is not None:
            self._rate.learn(self._reference.length_ms, sum(self._open) * STEP_MS)

    def use_reference(self, reading: ReferenceTimeline) -> None:
        """Align with a better timeline of the same text, from the beginning; released cues stay."""
        if self._steps_taken > _LATE_STEPS:
            return
        self._reference = reading
        self._aligner = _aligner_for(reading, self._rate)
        for step, goes_on in enumerate(self._open[: self._steps_taken]):
            if goes_on:
                self._position = self._aligner.step(self._step(step), None)

    def pull(self, until_ms: float) -> VoiceAudio | None:
        """Return the audio up to this time, as far as it has arrived; None when there is none."""
        end = min(len(self._pcm), int(until_ms) * BYTES_PER_MS)
        if end <= self._pulled:
            return None
        start_ms = self._pulled / BYTES_PER_MS
        visemes: list[VisemeCue] = []
        words: list[WordCue] = []
        last = self._left is not None and end == len(self._pcm)
        while (self._steps_taken + 1) * STEP_BYTES <= end or (
            last and self._steps_taken * STEP_BYTES < end
        ):
            step_ms = self._steps_taken * STEP_MS
            weights, begun = self._next_step()
            # The cue of a step that was split between two pieces comes with the second.
            if weights != self._shown:
                self._shown = weights
                visemes.append(VisemeCue(max(start_ms, step_ms), weights))
            words += [
                WordCue(max(start_ms, step_ms + STEP_MS / 2), word.start, word.end)
                for word in begun
            ]
        if self._emitted_until < 0 and not words:
            # Silent so far. Without any word cue the engine would treat this as a voice without
            # word times.
            self._emitted_until = 0
            words.append(WordCue(start_ms, 0, 0))
        pcm = bytes(self._pcm[self._pulled : end])
        self._pulled = end
        return VoiceAudio(pcm, tuple(visemes), tuple(words))

    def _measure(self) -> None:
        loudness = rms(self._step(len(self._loud)))
        speaks = loudness >= QUIET
        # One quiet step is the closure of a plosive; more are a pause, in which no word passes.
        self._open.append(speaks or (bool(self._loud) and self._loud[-1] >= QUIET))
        self._loud.append(loudness)

    def _step(self, number: int) -> bytes:
        return bytes(self._pcm[number * STEP_BYTES : (number + 1) * STEP_BYTES])

    def _next_step(self) -> tuple[Weights, list[Word]]:
        """Return the mouth shape of the next step, and the words that begin in it."""
        step = self._steps_taken
        self._steps_taken += 1
        # Steps after the last sound were not stored.
        loudness, goes_on = (
            (self._loud[step], self._open[step]) if step < len(self._loud) else (0.0, False)
        )
        if goes_on:
            if self._left is not None:
                self._left -= 1
            self._position = self._aligner.step(self._step(step), self._left)
        if self._left == 0:
            self._position = self._reference.length_ms
        opening = self._mouth_opening.next_step(loudness)
        if self._position is None:
            return SILENCE, []
        place, emitted_until = self._position, self._emitted_until
        begun = [
            word
            for word in self._reference.words
            if word.at_ms <= place and word.start >= emitted_until
        ]
        if begun:
            self._emitted_until = begun[-1].end
        if not opening:
            return SILENCE, begun
        return {
            name: round(weight * opening, 2)
            for name, weight in self._reference.shape(place).items()
        }, begun


def _aligner_for(reading: ReferenceTimeline, pace: SpeakingRate) -> Aligner:
    if reading.bands is None:
        return RateAligner(reading.length_ms, pace, STEP_MS)
    # This imports numpy; a timeline with bands was made with numpy, so it is loaded already.
    from dialog_voice.alignment.aligner import SpectralAligner

    return SpectralAligner(reading.bands, reading.length_ms, pace)

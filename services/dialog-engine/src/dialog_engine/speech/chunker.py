"""Cuts the audio of a turn into chunks and assigns mouth shapes and text positions to them.

The chunker receives the audio of one fragment after another, in pieces of any size. Each chunk
except a fragment's last ones has the same length. The last chunk of a fragment is held back until
the fragment ends, because it must carry the end of the text. Silence of the length that the
fragment asks for follows.

The text position of a chunk says how much of the reply has been spoken at its end; a reply is
truncated there after an interruption. It comes from the word times of the voice, or is estimated
from usual speaking rates.

The module has no clock and no I/O. Pacing is in `pacer.py`.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from dialog_contracts.limits import BYTES_PER_MS, CHUNK_MS
from dialog_contracts.writing_systems import is_cjk
from dialog_voice.text.fragmenter import Fragment
from dialog_voice.voice import VoiceAudio

_SILENT: Final = {"sil": 1.0}
_MS_PER_LETTER: Final = 65.0
_MS_PER_CJK: Final = 210.0


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """One chunk.

    `pcm` is mono s16le at 24 kHz; `text_start` and `text_end` are positions in the reply.

    `text_end` is the end of the last word that begins within the chunk.
    """

    seq: int
    offset_ms: int
    pcm: bytes
    viseme: dict[str, float]
    text_start: int
    text_end: int

    @property
    def duration_ms(self) -> int:
        """Length of the audio in ms."""
        return len(self.pcm) // BYTES_PER_MS


class AudioChunker:
    """Chunker of one turn: for each fragment call `begin`, then `feed`, then `end`.

    Numbers and offsets of the chunks are consecutive across fragments.
    """

    def __init__(self, chunk_ms: int = CHUNK_MS) -> None:
        self._size = chunk_ms * BYTES_PER_MS
        self.seq = 0
        self.offset_ms = 0
        self._fragment = Fragment("", 0, ends_sentence=True)
        self._base_ms = 0
        self._rest = b""
        self._shapes: deque[tuple[float, dict[str, float]]] = deque()
        self._shape: dict[str, float] = _SILENT
        self._words: deque[tuple[float, int, int]] = deque()
        self._word = (0, 0)
        self._timed = False

    def begin(self, fragment: Fragment) -> None:
        """Begin a fragment, to which all audio until `end` belongs."""
        self._fragment, self._base_ms, self._rest = fragment, self.offset_ms, b""
        self._shapes.clear()
        self._words.clear()
        self._shape, self._word, self._timed = _SILENT, (fragment.start, fragment.start), False

    def feed(self, audio: VoiceAudio) -> list[AudioChunk]:
        """Return the chunks that this audio completes."""
        for cue in audio.visemes:
            self._shapes.append((self._base_ms + cue.offset_ms, dict(cue.weights)))
        for word in audio.words:
            self._timed = True
            at = self._fragment.start
            self._words.append(
                (self._base_ms + word.offset_ms, at + word.text_start, at + word.text_end)
            )
        self._rest += audio.pcm
        whole = len(self._rest) - len(self._rest) % self._size
        # The last chunk is held back: whether it carries the fragment's last words is known only
        # when the fragment ends.
        if whole == len(self._rest):
            whole -= self._size
        chunks = [
            self._next_chunk(self._rest[at : at + self._size]) for at in range(0, whole, self._size)
        ]
        if whole > 0:
            self._rest = self._rest[whole:]
        return chunks

    def end(self, *, whole: bool = True) -> list[AudioChunk]:
        """Return the rest of the fragment and the pause after it.

        `whole` is False if the voice failed: the text position then stays at the last known word.
        """
        if not self._rest and self.offset_ms == self._base_ms:
            return []
        rest = self._rest[: len(self._rest) - len(self._rest) % 2]
        rest += bytes(-len(rest) % BYTES_PER_MS)
        chunks: list[AudioChunk] = []
        speech = len(rest)
        rest += bytes(self._fragment.pause_ms * BYTES_PER_MS)
        for at in range(0, len(rest), self._size):
            piece = rest[at : at + self._size]
            # The contract requires chunks of at least 20 ms.
            piece += bytes(max(0, 20 * BYTES_PER_MS - len(piece)))
            chunks.append(
                self._next_chunk(
                    piece, silent=at >= speech, last_words=whole and at + self._size >= speech
                )
            )
        return chunks

    def _next_chunk(
        self, pcm: bytes, *, silent: bool = False, last_words: bool = False
    ) -> AudioChunk:
        until = self.offset_ms + len(pcm) / BYTES_PER_MS
        while self._shapes and self._shapes[0][0] <= self.offset_ms:
            self._shape = self._shapes.popleft()[1]
        start, end = self._word
        if self._timed:
            while self._words and self._words[0][0] < until:
                _, start, end = self._words.popleft()
        else:
            end = min(self._fragment.end, self._fragment.start + round(self._estimated_word(until)))
        if last_words:
            end = self._fragment.end
        self._word = (start, max(end, self._word[1]))
        chunk = AudioChunk(
            seq=self.seq,
            offset_ms=self.offset_ms,
            pcm=pcm,
            viseme=_SILENT if silent else self._shape,
            text_start=self._word[0],
            text_end=self._word[1],
        )
        self.seq += 1
        self.offset_ms += chunk.duration_ms
        return chunk

    def _estimated_word(self, until_ms: float) -> float:
        """Estimate how many characters were spoken by then, for a voice without word times."""
        left, count = until_ms - self._base_ms, 0
        for char in self._fragment.text:
            left -= _MS_PER_CJK if is_cjk(char) else _MS_PER_LETTER
            if left < 0:
                break
            count += 1
        return count

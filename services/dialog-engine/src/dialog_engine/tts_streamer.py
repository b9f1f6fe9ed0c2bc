"""Speaks one turn: fragments of text go in, chunks of audio come out at the speed of playback.

One task takes fragments, synthesizes them one after the other and cuts the audio into chunks. It
synthesizes at most two fragments ahead of playback, because more would be paid for and discarded
after an interruption. A chunk that is due is sent at once by this task. Others wait in a queue,
from which a second task sends them, at most 600 ms ahead of playback; synthesis continues
meanwhile.

The streamer also answers what has been played. The computed position of `pacer.py` is limited by
the positions that viewers report, and the chunks sent so far map it to the reply's text.

The rest of a fragment that fails is skipped, because the voice falls back to another provider for
the next one. A crash of the task ends the speech like a regular end. `cancel` takes effect at once:
no chunk is sent after it, although synthesis needs some milliseconds to stop.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from dialog_engine.speech.chunker import AudioChunk, AudioChunker
from dialog_engine.speech.pacer import Pacer
from dialog_engine.weak_callback import weak_callback
from dialog_media.playback_positions import PlaybackPositions
from dialog_telemetry import metrics
from dialog_voice.errors import VoiceError
from dialog_voice.text.fragmenter import Fragment
from dialog_voice.text.speakable import SpeakableTextFilter
from dialog_voice.voice import Voice
from service_runtime.aio.background_tasks import BackgroundTasks

MAX_FRAGMENTS_AHEAD: Final = 2
MIN_POLL_MS: Final = 1.0
"""Shortest sleep in ms: after a shorter one the clock may show the same time."""

log = structlog.get_logger("speech")


@dataclass(frozen=True, slots=True)
class SpeechHooks:
    """Callbacks to the turn. They run on the event loop and must not block."""

    send: Callable[[AudioChunk], None]
    first_audio: Callable[[], None]
    all_sent: Callable[[], None]


class TtsStreamer:
    """The voice of one turn. `clock` returns ms since the turn's request was received."""

    def __init__(
        self, voice: Voice, lang: str, hooks: SpeechHooks, clock: Callable[[], float]
    ) -> None:
        self._voice, self._lang, self._hooks, self._clock = voice, lang, hooks, clock
        self._fragments: deque[Fragment] = deque()
        self._complete = False
        self._changed = asyncio.Event()
        self._speakable = SpeakableTextFilter()
        self._chunker = AudioChunker()
        self._pacer = Pacer()
        self._ready: deque[AudioChunk] = deque()
        self._pacing: asyncio.Task[None] | None = None
        self._starts: list[int] = []
        self._played_end: list[tuple[int, int]] = []
        self._positions: PlaybackPositions[Hashable] = PlaybackPositions(keep_last=True)
        self._tasks = BackgroundTasks(weak_callback(self._task_over))
        self._cancelled = False
        self._end_reported = False
        self.spoken_fragments = 0
        self.failed_fragments = 0

    def start(self) -> None:
        """Start the task that waits for fragments."""
        self._tasks.start("speak", self._synthesize())

    def enqueue(self, fragment: Fragment) -> None:
        """Queue a fragment; returns at once."""
        self._fragments.append(fragment)
        self._changed.set()

    def end_input(self) -> None:
        """Declare that no fragment follows; `all_sent` is called after the last chunk."""
        self._complete = True
        self._changed.set()

    def report_position(
        self, offset_ms: float, source: Hashable = None, *, speaker: bool = False, viewers: int = 1
    ) -> None:
        """Store the position of the viewers of one output-handler (`source`).

        A position beyond the audio that was sent is reduced to it.
        """
        self._positions.report(
            source,
            min(offset_ms, self._pacer.sent_ms),
            self._clock(),
            speaker=speaker,
            viewers=viewers,
        )

    def set_paused(self, action: Literal["PAUSE", "RESUME"]) -> bool:
        """Pause or resume playback; False if it already is in this state."""
        if self._pacer.paused is (action == "PAUSE"):
            return False
        if action == "PAUSE":
            self._pacer.pause(self._clock())
        else:
            self._pacer.resume(self._clock())
            self._positions.clear()
        return True

    def played_text_end(self) -> int:
        """Return the position in the reply up to which it was played.

        It is the end of the last word that had begun.
        """
        position_ms = self._pacer.position_ms(self._clock())
        reported = self._positions.current(self._clock())
        if reported is not None and not self._pacer.paused:
            position_ms = min(position_ms, reported)
        at = bisect_right(self._played_end, position_ms, key=lambda entry: entry[0])
        return self._played_end[at - 1][1] if at else 0

    def remaining_ms(self) -> float:
        """Return ms until the sent audio has been played."""
        return self._pacer.time_until_ms(self._pacer.sent_ms, self._clock())

    @property
    def position_ms(self) -> int:
        """Audio time in ms that plays now."""
        return round(self._pacer.position_ms(self._clock()))

    @property
    def gaps(self) -> int:
        """Number of chunks that were ready only after their playback time."""
        return self._pacer.gaps

    @property
    def audio_ms(self) -> int:
        """Length of the sent audio in ms."""
        return round(self._pacer.sent_ms)

    def cancel(self) -> None:
        """Send no more chunks; synthesis ends within milliseconds."""
        self._cancelled = True
        # The exception of the cancelled task would keep this object in memory.
        self._pacing = None
        self._ready.clear()
        self._fragments.clear()

    async def close(self) -> None:
        """Cancel, and wait until synthesis has ended."""
        self.cancel()
        await self._tasks.close()

    async def _synthesize(self) -> None:
        while (fragment := await self._next()) is not None:
            spoken = self._speakable.spoken(fragment.text)
            if spoken is None:
                continue
            await self._wait_for_capacity(len(self._starts))
            self._starts.append(self._chunker.offset_ms)
            self._chunker.begin(fragment)
            whole = True
            try:
                async with aclosing(self._voice.synthesize(spoken, self._lang)) as pieces:
                    async for piece in pieces:
                        await self._emit(self._chunker.feed(piece))
                self.spoken_fragments += 1
            except VoiceError as error:
                # The rest of this fragment is skipped; the fallback has already selected another
                # voice for the next one.
                whole = False
                self.failed_fragments += 1
                log.warning(
                    "fragment_not_synthesized", reason=error.reason, chars=len(fragment.text)
                )
            await self._emit(self._chunker.end(whole=whole))
        if self._pacing is not None:
            await self._pacing
        if not self._cancelled:
            self._end_reported = True
            self._hooks.all_sent()

    def _task_over(self, name: str, _: BaseException | None) -> None:
        """End the speech after a crash of the synthesis task, as if all audio had been sent."""
        if name != "speak" or self._cancelled or self._end_reported:
            return
        self._end_reported = True
        self.failed_fragments += 1
        self.cancel()
        self._hooks.all_sent()

    async def _next(self) -> Fragment | None:
        while not self._fragments:
            if self._complete or self._cancelled:
                self._complete = True
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._fragments.popleft()

    async def _wait_for_capacity(self, index: int) -> None:
        """Wait until this fragment is at most two ahead of the one that plays."""
        while index >= MAX_FRAGMENTS_AHEAD:
            wait = self._pacer.time_until_ms(
                self._starts[index - MAX_FRAGMENTS_AHEAD], self._clock()
            )
            # time_until_ms knows only what was sent: the start of this fragment may still be in
            # the queue, even if the wait is 0.
            if wait <= 0 and self._starts[index - MAX_FRAGMENTS_AHEAD] <= self._pacer.sent_ms:
                return
            await asyncio.sleep(max(wait, 10.0) / 1000)

    async def _emit(self, chunks: list[AudioChunk]) -> None:
        for chunk in chunks:
            if self._cancelled:
                return
            if not self._ready and self._pacer.wait_ms(chunk.offset_ms, self._clock()) <= 0:
                self._send(chunk)
                if chunk.seq == 0:
                    # Let the first chunk leave before the next ones are serialized.
                    await asyncio.sleep(0)
                continue
            self._ready.append(chunk)
            if self._pacing is None or self._pacing.done():
                self._pacing = self._tasks.start("pace", self._pace())

    async def _pace(self) -> None:
        while self._ready:
            wait = self._pacer.wait_ms(self._ready[0].offset_ms, self._clock())
            if wait > 0:
                # Check again after the sleep: playback may have been paused meanwhile.
                await asyncio.sleep(max(wait, MIN_POLL_MS) / 1000)
                continue
            self._send(self._ready[0])
            self._ready.popleft()

    def _send(self, chunk: AudioChunk) -> None:
        now, gaps = self._clock(), self._pacer.gaps
        self._pacer.sent(chunk.offset_ms, chunk.duration_ms, now)
        if self._pacer.gaps > gaps:
            metrics.TTS_UNDERRUNS.inc()
        self._played_end.append((chunk.offset_ms, chunk.text_end))
        self._hooks.send(chunk)
        if chunk.seq == 0:
            self._hooks.first_audio()

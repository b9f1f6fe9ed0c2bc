"""Speaks a turn: fragments in; chunks out, at most two fragments synthesised and 600 ms sent ahead of the ear; cancelled at any moment."""

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
"""Nobody sleeps for less: a clock may not have moved by then."""

log = structlog.get_logger("speech")


@dataclass(frozen=True, slots=True)
class SpeechHooks:
    """What the turn wants to know. All are called on the event loop and do not wait."""

    send: Callable[[AudioChunk], None]
    first_audio: Callable[[], None]
    all_sent: Callable[[], None]


class TtsStreamer:
    """The voice of one turn. `clock` gives ms; `say` and `no_more` never wait; `cancel` takes effect at once."""

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
        """Begin to wait for fragments."""
        self._tasks.start("speak", self._synthesize())

    def enqueue(self, fragment: Fragment) -> None:
        """Queue a fragment."""
        self._fragments.append(fragment)
        self._changed.set()

    def end_input(self) -> None:
        """No fragment follows."""
        self._complete = True
        self._changed.set()

    def report_position(
        self, offset_ms: float, source: Hashable = None, *, speaker: bool = False, viewers: int = 1
    ) -> None:
        """The viewers of one output-handler (`source`) have heard up to this audio time."""
        self._positions.report(
            source,
            min(offset_ms, self._pacer.sent_ms),
            self._clock(),
            speaker=speaker,
            viewers=viewers,
        )

    def set_paused(self, action: Literal["PAUSE", "RESUME"]) -> bool:
        """Let the ear stand still, or go on; false when it does already."""
        if self._pacer.paused is (action == "PAUSE"):
            return False
        if action == "PAUSE":
            self._pacer.pause(self._clock())
        else:
            self._pacer.resume(self._clock())
            self._positions.clear()
        return True

    def played_text_end(self) -> int:
        """Place in the reply up to which it was heard: the end of the last word that had begun to sound."""
        position_ms = self._pacer.position_ms(self._clock())
        reported = self._positions.current(self._clock())
        if reported is not None and not self._pacer.paused:
            position_ms = min(position_ms, reported)
        at = bisect_right(self._played_end, position_ms, key=lambda entry: entry[0])
        return self._played_end[at - 1][1] if at else 0

    def remaining_ms(self) -> float:
        """How long what was sent still sounds."""
        return self._pacer.time_until_ms(self._pacer.sent_ms, self._clock())

    @property
    def position_ms(self) -> int:
        """Audio time that sounds now."""
        return round(self._pacer.position_ms(self._clock()))

    @property
    def audio_ms(self) -> int:
        """Length of what was sent."""
        return round(self._pacer.sent_ms)

    def cancel(self) -> None:
        """Send nothing more from now on; synthesis ends by itself within milliseconds."""
        self._cancelled = True
        # Its last error would hold this object.
        self._pacing = None
        self._ready.clear()
        self._fragments.clear()

    async def close(self) -> None:
        """Cancel, and wait until the synthesis is closed."""
        self.cancel()
        await self._tasks.close()

    async def _synthesize(self) -> None:
        while (fragment := await self._next()) is not None:
            reported = self._speakable.apply(fragment.text)
            if not any(char.isalnum() for char in reported):
                continue
            await self._wait_for_capacity(len(self._starts))
            self._starts.append(self._chunker.offset_ms)
            self._chunker.begin(fragment)
            whole = True
            try:
                async with aclosing(self._voice.synthesize(reported, self._lang)) as pieces:
                    async for piece in pieces:
                        await self._emit(self._chunker.feed(piece))
                self.spoken_fragments += 1
            except VoiceError as error:
                # The words of this fragment stay unsaid; the chain has already turned to another voice for the next one.
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
        """The voice ended without a word about it, so something of ours failed: what was sent was all."""
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
        """Wait until this fragment is at most two ahead of the one that sounds."""
        while index >= MAX_FRAGMENTS_AHEAD:
            wait = self._pacer.time_until_ms(
                self._starts[index - MAX_FRAGMENTS_AHEAD], self._clock()
            )
            # Chunks that are still queued have no time yet that the pacer knows: their start may lie behind what was sent.
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
                    # On its way before those behind it are put into words.
                    await asyncio.sleep(0)
                continue
            self._ready.append(chunk)
            if self._pacing is None or self._pacing.done():
                self._pacing = self._tasks.start("pace", self._pace())

    async def _pace(self) -> None:
        while self._ready:
            wait = self._pacer.wait_ms(self._ready[0].offset_ms, self._clock())
            if wait > 0:
                # Looked at again after it: the ear may have been paused meanwhile.
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

"""Adds word times and mouth shapes to bare audio, released as late as playback permits.

Word times cannot be corrected after they are sent, and they become more accurate the more audio is
known; once the end is known, the speaking rate follows from the length. Vendors are usually faster
than speech. So audio is held back until it is due: LEAD_MS before it is played, with a smaller lead
at first so that the first piece leaves at once. A stream that is not faster than speech is
therefore never delayed.

Three tasks run for a fragment: one receives the stream, so that its end is noticed while audio
waits; one synthesizes the reference; the caller's own task releases audio. All end with `stream`.

Sending the whole reply's times at the end would be simpler, but an interruption needs to know at
any time what has been played. The positions come from `aligner.py`; `segment.py` holds the audio
and makes the cues.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.alignment.segment import UnalignedSegment
from dialog_voice.errors import VoiceError
from dialog_voice.voice import VoiceAudio
from service_runtime.aio.background_tasks import BackgroundTasks

LEAD_MS: Final = 1000
"""Lead in ms of released audio over playback that starts with the first piece.

The engine needs 720 ms of it; the rest is a reserve for a busy machine.
"""

_RISE: Final = 5
"""The lead is built up at this multiple of real time.

A vendor that sends everything at once has sent its end by then.
"""

_PIECE_MS: Final = 200
"""Length of a piece in ms; one leaves at once.

Aligning a piece takes a millisecond; a longer one would delay other tasks.
"""

_HEAD_START_S: Final = 0.05
"""Delay in seconds before the reference is synthesized.

A vendor that answers within it has the processor to itself until its first piece is released;
slower vendors are slower than the reference anyway.
"""

_POLL_MS: Final = 200
"""Once the lead is built up, it is checked again when this much of it is used up."""

_MIN_WAIT_MS: Final = 20
"""Shortest wait between two checks, while the lead is built up."""


class DelayedAligner:
    """Aligns the audio of one fragment, once."""

    def __init__(self, fragment: UnalignedSegment, reference: ReferenceSynthesizer | None) -> None:
        self._fragment, self._synthesizer = fragment, reference
        self._tasks = BackgroundTasks()
        self._changed = asyncio.Event()
        self._begun = asyncio.Event()
        self._all_here = False
        self._reference: asyncio.Task[None] | None = None
        self._error: VoiceError | None = None

    async def stream(
        self, stream: AsyncGenerator[bytes, None], text: str, lang: str
    ) -> AsyncGenerator[VoiceAudio, None]:
        """Yield the whole samples of `stream` with words and mouth shapes.

        Audio that arrived before an error is released before it is raised. The reference is
        synthesized meanwhile; until it is ready, and where it fails, a timeline from letters is
        used. Closing this generator ends the synthesis; the caller closes `stream`.
        """
        try:
            if self._synthesizer is not None:
                self._reference = self._tasks.start(
                    "voice-reading", self._load_reference(self._synthesizer, text, lang)
                )
            first = await anext(stream, None)
            if first is None:
                return
            self._fragment.add(first)
            clock = asyncio.get_running_loop().time
            began = clock()
            receiving = self._tasks.start("voice-stream", self._receive(stream))
            while True:
                played_ms = (clock() - began) * 1000
                due_ms = min(_PIECE_MS + _RISE * played_ms, played_ms + LEAD_MS)
                next_ms = self._fragment.pulled_ms + _PIECE_MS
                piece = self._fragment.pull(next_ms if self._ready else min(next_ms, due_ms))
                if piece is not None:
                    yield piece
                    self._begun.set()
                    # Let other tasks run; the end of the stream may have arrived.
                    await asyncio.sleep(0)
                elif self._all_here and not self._fragment.waiting_ms:
                    break
                else:
                    await self._wait(self._fragment.pulled_ms - played_ms - LEAD_MS + _POLL_MS)
            await receiving
            if self._error is not None:
                raise self._error
        finally:
            self._fragment.learn_rate()
            await self._tasks.close()

    async def _receive(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Receive the stream in a task of its own, so that its end is known while audio waits."""
        try:
            async for pcm in stream:
                self._fragment.add(pcm)
                self._changed.set()
            self._fragment.end()
        except VoiceError as error:
            self._error = error
        finally:
            self._all_here = True
            self._changed.set()

    async def _load_reference(self, reference: ReferenceSynthesizer, text: str, lang: str) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEAD_START_S):
                    await self._begun.wait()
            if (reading := await reference.synthesize(text, lang)) is not None:
                self._fragment.use_reference(reading)
        finally:
            self._changed.set()

    @property
    def _ready(self) -> bool:
        """Whether everything known can be used: the stream has ended and the reference is finished.

        After an error the remaining audio is released at once.
        """
        return self._error is not None or (
            self._all_here and (self._reference is None or self._reference.done())
        )

    async def _wait(self, for_ms: float) -> None:
        """Wait for audio, or, if audio waits already, until more of it may be due."""
        self._changed.clear()
        if not self._fragment.waiting_ms:
            await self._changed.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(for_ms, _MIN_WAIT_MS) / 1000):
                while not self._ready:
                    self._changed.clear()
                    await self._changed.wait()

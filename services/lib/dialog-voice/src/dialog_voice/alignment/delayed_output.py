"""From a stream of bare audio to a voice's: each piece leaves as late as the ear allows, since words that were told stay told."""

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
"""Audio leaves so far ahead of an ear that hears it from the first piece on: 720 of it the engine wants, the rest is for a busy machine."""

_RISE: Final = 5
"""That lead is built up so many times as fast as speech: a vendor that is done at once has told its length by then."""

_PIECE_MS: Final = 200
"""Leaves at once. Finding the words of as much takes a millisecond; of more, others would wait."""

_HEAD_START_S: Final = 0.05
"""A vendor that answers within it has the processor to itself until its first piece has left; the others are slower than a reader."""

_POLL_MS: Final = 200
"""It is looked whether more is due when so much of the lead is used up, …"""

_MIN_WAIT_MS: Final = 20
"""… and while it is built up."""


class DelayedAligner:
    """The audio of one fragment of `text`, once.

    Vendors are mostly quicker than speech: while one second is heard, the rest arrives, and with it the length, which says the voice's
    speed. A stream no quicker than speech is never held back, and the first piece leaves at once.
    """

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
        """Yield what `stream` yields, whole samples, with words and mouth shapes; what came before an error leaves before it.

        The reader reads meanwhile; until it has done so, and where it cannot, letters do. Closing this ends the reading; `stream`
        is its owner's to close.
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
                    # Others' turn, and the end may have come.
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
        """A task of its own, so that the end is known while audio waits."""
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
        """A vendor may even be quicker than the reader."""
        return self._error is not None or (
            self._all_here and (self._reference is None or self._reference.done())
        )

    async def _wait(self, for_ms: float) -> None:
        """Until something comes; where audio waits already, only until more of it may be due."""
        self._changed.clear()
        if not self._fragment.waiting_ms:
            await self._changed.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(for_ms, _MIN_WAIT_MS) / 1000):
                while not self._ready:
                    self._changed.clear()
                    await self._changed.wait()

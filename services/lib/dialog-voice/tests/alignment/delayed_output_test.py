import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from dialog_voice.alignment.delayed_output import LEAD_MS, DelayedAligner
from dialog_voice.alignment.reference import ReferenceTimeline, Word, from_letters
from dialog_voice.alignment.reference_synthesis import ReferenceSynthesizer
from dialog_voice.alignment.segment import UnalignedSegment
from dialog_voice.alignment.speaking_rate import SpeakingRate
from dialog_voice.errors import ProviderError
from dialog_voice.testing.openai_speech_server import hum
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio

pytestmark = pytest.mark.looptime

TEXT = "one two three four five six seven eight nine ten"


class Reads(ReferenceSynthesizer):
    """A reader that takes its time, and whose reading begins with a long word."""

    def __init__(self, after_s: float = 0.0) -> None:
        self.after_s, self.cancelled = after_s, False
        self.asked_at: float | None = None

    async def synthesize(self, text: str, lang: str) -> ReferenceTimeline | None:
        self.asked_at = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(self.after_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        letters = from_letters(text)
        later = [Word(word.at_ms + 5000, word.start, word.end) for word in letters.words[1:]]
        return ReferenceTimeline(
            [letters.words[0], *later], letters.shapes, letters.length_ms + 5000
        )


async def stream(
    *parts: tuple[float, int], error: ProviderError | None = None
) -> AsyncGenerator[bytes, None]:
    """(seconds later, ms of sound), then the end or an error."""
    for later_s, ms in parts:
        await asyncio.sleep(later_s)
        if ms:
            yield hum(ms)
    if error is not None:
        raise error


async def left(
    source: AsyncGenerator[bytes, None],
    reader: ReferenceSynthesizer | None = None,
    fragment: UnalignedSegment | None = None,
) -> tuple[list[tuple[float, float]], list[VoiceAudio]]:
    """(seconds, ms of audio that have left by then), and the pieces."""
    clock = asyncio.get_running_loop().time
    began, at, ms, pieces = clock(), [], 0.0, []
    held = DelayedAligner(fragment or UnalignedSegment(TEXT, SpeakingRate()), reader)
    async with aclosing(source), aclosing(held.stream(source, TEXT, "en")) as told:
        async for piece in told:
            ms += len(piece.pcm) / BYTES_PER_MS
            at.append((round(clock() - began, 3), ms))
            pieces.append(piece)
    return at, pieces


async def test_the_first_piece_leaves_as_it_comes() -> None:
    at, _ = await left(stream((0.3, 40), (5, 40)), Reads(60))
    assert at[0] == (0.3, 40)


async def test_a_vendor_that_is_done_at_once_is_not_held_back() -> None:
    at, pieces = await left(stream((0.1, 3000), (0, 5000)))
    assert at[-1] == (0.1, 8000)
    # Only what had left before the end was known is told at a usual pace: that would be over after
    # four seconds.
    assert 7000 < [word for piece in pieces for word in piece.words][-1].offset_ms < 8000


async def test_a_vendor_twice_as_fast_as_speech_is_a_second_ahead_until_its_end_is_known() -> None:
    at, pieces = await left(stream(*[(0.1, 200)] * 30))
    for second, ms in at:
        heard_ms = (second - 0.1) * 1000
        if second < 3:
            assert ms <= heard_ms + LEAD_MS + 1
            assert ms >= min(heard_ms + LEAD_MS - 250, 2 * (heard_ms + 100) - 200), (
                "an ear must not wait"
            )
    assert at[-1] == (3.0, 6000)
    assert sum(len(piece.pcm) for piece in pieces) == 6000 * BYTES_PER_MS


async def test_a_vendor_no_faster_than_speech_is_never_held_back() -> None:
    at, _ = await left(stream(*[(0.1, 100)] * 30))
    assert at == [(round(0.1 * number, 3), 100.0 * number) for number in range(1, 31)]


async def test_a_reader_does_not_begin_while_a_vendor_answers_at_once() -> None:
    reader = Reads()
    source = stream((0, 40), (0.01, 40))
    async with (
        aclosing(source),
        aclosing(
            DelayedAligner(UnalignedSegment(TEXT, SpeakingRate()), reader).stream(
                source, TEXT, "en"
            )
        ) as told,
    ):
        await anext(told)
        assert reader.asked_at is None
        await anext(told)
        assert reader.asked_at == pytest.approx(asyncio.get_running_loop().time(), abs=0.011)


async def test_what_came_before_an_error_leaves_before_it() -> None:
    began, pieces = asyncio.get_running_loop().time(), []
    pace = SpeakingRate()
    held = DelayedAligner(UnalignedSegment(TEXT, pace), None)
    source = stream((0, 3000), (0.2, 0), error=ProviderError("test", "cut_stream"))
    with pytest.raises(ProviderError, match="cut_stream"):
        async for piece in held.stream(source, TEXT, "en"):
            pieces.append(piece)
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.2)
    assert sum(len(piece.pcm) for piece in pieces) == 3000 * BYTES_PER_MS
    assert pace.speed == pytest.approx(SpeakingRate().speed), (
        "what was cut off says nothing of the voice's pace"
    )


async def test_an_error_before_any_sound_is_the_callers() -> None:
    with pytest.raises(ProviderError, match="quota"):
        await left(stream(error=ProviderError("test", "quota")), Reads(60))


async def test_nothing_is_nothing() -> None:
    assert await left(stream()) == ([], [])


async def test_a_reading_is_used_when_it_comes_and_never_waited_for() -> None:
    at, pieces = await left(stream(*[(0.1, 100)] * 20), Reads(0.4))
    assert at[-1] == (2.0, 2000)
    words = [(word.text_start, word.offset_ms) for piece in pieces for word in piece.words]
    # By letters "two" began, and "three" may have; in the reading five seconds pass before them.
    assert [start for start, ms in words if ms < 500][:2] == [0, 4]
    assert [start for start, ms in words if 500 < ms < 1900] == []


async def test_a_vendor_quicker_than_the_reader_waits_for_it_as_long_as_the_ear_allows() -> None:
    at, pieces = await left(stream((0.1, 3000)), Reads(0.45))
    assert at[-1] == (0.5, 3000)
    assert [ms for second, ms in at if second < 0.5][-1] == pytest.approx(1300, abs=200)
    assert [word.text_start for piece in pieces for word in piece.words] == sorted(
        from_letters(TEXT).words[n].start for n in range(10)
    )


async def test_a_pace_that_a_cut_off_fragment_had_is_remembered() -> None:
    pace = SpeakingRate()
    source = stream((0, 5000))
    held = DelayedAligner(UnalignedSegment(TEXT, pace), None)
    async with aclosing(source), aclosing(held.stream(source, TEXT, "en")) as told:
        await anext(told)
        await anext(told)
    assert pace.speed < 0.6


async def test_leaving_ends_the_reading_and_the_stream() -> None:
    reader, source = Reads(3600), stream((0, 40), (3600, 40))
    held = DelayedAligner(UnalignedSegment(TEXT, SpeakingRate()), reader)
    async with aclosing(source), aclosing(held.stream(source, TEXT, "en")) as told:
        await anext(told)
        await asyncio.sleep(0.1)
    assert reader.cancelled
    assert [
        task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("voice-")
    ] == []


async def test_cancelling_who_waits_ends_both() -> None:
    reader = Reads(3600)
    waiting = asyncio.create_task(left(stream((0, 40), (3600, 40)), reader))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert reader.cancelled
    assert [
        task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("voice-")
    ] == []

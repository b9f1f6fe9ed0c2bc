import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from asr.streaming.endpointing import SpeechEnded, SpeechStarted
from asr.streaming.utterance import SpeechSegment
from asr.streaming.vad import FRAME, FRAME_MS

WINDOW_MS = 320


def speech(frames: int) -> SpeechSegment:
    """Each sample is the number of its frame."""
    return SpeechSegment(
        SpeechStarted(start_ms=WINDOW_MS + 300, window_ms=WINDOW_MS),
        [np.full(FRAME, number, np.float32) for number in range(frames)],
    )


def test_its_audio_begins_with_its_window_and_grows_by_frames() -> None:
    it = speech(10)
    assert it.until_ms == WINDOW_MS + 10 * FRAME_MS
    it.frames.append(np.full(FRAME, 10, np.float32))
    assert it.until_ms == WINDOW_MS + 11 * FRAME_MS
    assert it.samples().tolist() == [float(at // FRAME) for at in range(11 * FRAME)]


@given(frames=integers(1, 20), ms=integers(1, 2_000))
def test_samples_up_to_a_time_hold_that_time_and_less_than_a_frame_more(
    frames: int, ms: int
) -> None:
    it = speech(frames)
    held_ms = len(it.samples(WINDOW_MS + ms)) * FRAME_MS // FRAME
    assert held_ms == min(frames * FRAME_MS, -(-ms // FRAME_MS) * FRAME_MS)
    assert held_ms >= min(ms, frames * FRAME_MS)
    assert held_ms < ms + FRAME_MS


async def test_a_request_wakes_who_waits_and_a_newer_one_replaces_it() -> None:
    it = speech(10)
    waiting = asyncio.create_task(it.changed.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    it.request_interim(500, pausing=False)
    it.request_interim(700, pausing=True)
    await asyncio.wait_for(waiting, 5)
    assert (it.decode, it.speech_ms, it.pausing, it.end) == (True, 700, True, None)
    it.request_interim(1_200, pausing=False)
    assert (it.speech_ms, it.pausing) == (1_200, False), "speech went on"


async def test_the_end_wakes_who_waits() -> None:
    it = speech(10)
    waiting = asyncio.create_task(it.changed.wait())
    await asyncio.sleep(0)
    end = SpeechEnded(start_ms=620, end_ms=640, reason="complete")
    it.finish(end, 12.5)
    await asyncio.wait_for(waiting, 5)
    assert (it.end, it.over_at) == (end, 12.5)


async def test_requests_of_one_utterance_are_none_of_another() -> None:
    one, other = speech(1), speech(1)
    one.request_interim(500, pausing=False)
    assert one.changed.is_set()
    assert not other.changed.is_set()
    assert not other.decode


def test_an_utterance_without_frames_has_no_samples_to_give() -> None:
    with pytest.raises(ValueError, match="need at least one array"):
        speech(0).samples()

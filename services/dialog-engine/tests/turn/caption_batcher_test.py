import asyncio

import pytest

from dialog_engine.turn.caption_batcher import CaptionBatcher

pytestmark = pytest.mark.looptime


async def test_the_first_piece_goes_soon_later_ones_together() -> None:
    sent: list[tuple[str, int, bool]] = []
    captions = CaptionBatcher(lambda *frame: sent.append(frame))
    captions.add("Hi ", 0, False)
    await asyncio.sleep(0)
    assert sent == [], "it lets the first sound go before"
    await asyncio.sleep(0.021)
    assert sent == [("Hi ", 0, False)]
    captions.add("you ", 3, False)
    await asyncio.sleep(0.02)
    captions.add("there", 7, False)
    captions.add("", 12, True)
    assert len(sent) == 1
    await asyncio.sleep(0.1)
    assert sent[1:] == [("you there", 3, True)]


async def test_nothing_is_sent_after_drop() -> None:
    sent: list[object] = []
    captions = CaptionBatcher(lambda *frame: sent.append(frame))
    captions.add("Hi ", 0, False)
    captions.discard()
    await asyncio.sleep(1)
    assert sent == []


async def test_flush_sends_what_waits() -> None:
    sent: list[object] = []
    captions = CaptionBatcher(lambda *frame: sent.append(frame))
    captions.add("b", 1, False)
    captions.flush()
    captions.flush()
    assert sent == [("b", 1, False)]
    await asyncio.sleep(1)
    assert len(sent) == 1

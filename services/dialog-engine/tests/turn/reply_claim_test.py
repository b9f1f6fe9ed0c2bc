import asyncio

import pytest

from dialog_engine.redis_store import ClaimState
from dialog_engine.turn import reply_claim
from dialog_engine.turn.reply_claim import ReplyClaim


class Redis:
    """Answers one state after another; the last one for ever."""

    def __init__(self, *answers: ClaimState) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def __call__(self, name: str) -> ClaimState:
        self.asked.append(name)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_claim_that_is_acquired_is_certain_and_one_that_is_held_is_not_ours() -> None:
    ours = ReplyClaim("live-001#1", Redis(ClaimState.ACQUIRED))
    assert (ours.state, ours.acquired) == (None, False)
    assert await ours.acquire()
    assert ours.acquired
    theirs = ReplyClaim("live-001#2", Redis(ClaimState.HELD_BY_OTHER))
    assert not await theirs.acquire()
    assert not theirs.acquired


@pytest.mark.parametrize("in_the_end", [ClaimState.ACQUIRED, ClaimState.HELD_BY_OTHER])
async def test_while_redis_is_silent_the_turn_is_answered_and_the_claim_asked_for_until_it_is_known(
    monkeypatch: pytest.MonkeyPatch, in_the_end: ClaimState
) -> None:
    monkeypatch.setattr(reply_claim, "RETRY_INTERVAL_S", 0)
    redis = Redis(ClaimState.UNKNOWN, ClaimState.UNKNOWN, ClaimState.UNKNOWN, in_the_end)
    claim = ReplyClaim("live-001#1", redis)
    assert await claim.acquire()
    assert not claim.acquired
    assert await asyncio.wait_for(claim.resolve(), 10) is (in_the_end is ClaimState.ACQUIRED)
    assert redis.asked == ["live-001#1"] * 4

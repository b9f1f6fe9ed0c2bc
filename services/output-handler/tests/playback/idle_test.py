"""A session without a turn: idle, or listening to users."""

import asyncio

import pytest

from dialog_contracts.viewer import Phase
from output_handler.playback.idle import (
    SPEAKING_TIMEOUT_S,
    TURN_START_WAIT_S,
    IdleController,
)

pytestmark = pytest.mark.looptime


class Session:
    def __init__(self) -> None:
        self.no_turn = True
        self.phases: list[Phase] = []
        self.idle = IdleController(
            lambda: self.phases.append(self.idle.phase), lambda: self.no_turn
        )


async def test_a_turn_becomes_idle_once_its_time_is_over_and_not_when_it_goes_on() -> None:
    session = Session()
    session.idle.schedule(2)
    await asyncio.sleep(1)
    session.idle.schedule(2)
    await asyncio.sleep(1.5)
    assert session.phases == []
    await asyncio.sleep(1)
    assert session.phases == [Phase.IDLE]
    session.idle.schedule(1)
    session.idle.cancel()
    await asyncio.sleep(5)
    assert session.phases == [Phase.IDLE]


async def test_viewers_see_that_a_user_speaks_until_the_last_of_several_has_finished() -> None:
    session = Session()
    session.idle.user_speaking("a", speaking=True)
    await asyncio.sleep(0.01)
    session.idle.user_speaking("b", speaking=True)
    session.idle.user_speaking("a", speaking=False)
    await asyncio.sleep(5)
    assert session.phases == [Phase.LISTENING]
    session.idle.user_speaking("b", speaking=False)
    await asyncio.sleep(TURN_START_WAIT_S - 0.1)
    assert session.phases == [Phase.LISTENING], "its turn may begin"
    await asyncio.sleep(0.2)
    assert session.phases == [Phase.LISTENING, Phase.IDLE]


async def test_while_a_turn_plays_nothing_changes_for_viewers() -> None:
    session = Session()
    session.no_turn = False
    session.idle.user_speaking("a", speaking=True)
    await asyncio.sleep(1)
    assert session.phases == []
    assert session.idle.phase is Phase.LISTENING, "and what comes after the turn is known"


async def test_a_microphone_that_never_says_that_it_has_finished_is_forgotten() -> None:
    session = Session()
    session.idle.user_speaking("a", speaking=True)
    await asyncio.sleep(SPEAKING_TIMEOUT_S + 1)
    assert session.phases == [Phase.LISTENING, Phase.IDLE]


async def test_after_the_end_of_a_session_nothing_is_sent() -> None:
    session = Session()
    session.idle.schedule(1)
    session.idle.user_speaking("a", speaking=True)
    session.idle.close()
    await asyncio.sleep(SPEAKING_TIMEOUT_S + 1)
    assert session.phases == []

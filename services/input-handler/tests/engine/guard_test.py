"""How long the main path waits for a first word: as long as the model thinks, and no longer."""

import asyncio
from typing import Self, cast

import pytest

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from dialog_contracts.sse import SseFrame
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.errors import EngineFailed
from input_handler.testing.scripted_engine import ACCEPTED, DONE, HELLO

pytestmark = pytest.mark.looptime

STILL_HERE = SseFrame(event=sse.COMMENT, data="still here")


class Engine:
    """Sends frames, with seconds between them."""

    def __init__(self, *script: SseFrame | float) -> None:
        self.script = iter(script)

    async def call(self, *_: object, **__: object) -> Self:
        return self

    async def next(self) -> SseFrame | None:
        for step in self.script:
            if not isinstance(step, float):
                return step
            await asyncio.sleep(step)
        return None

    def close(self) -> None:
        self.script = iter(())


def begun(*script: SseFrame | float) -> list[SseFrame | float]:
    rest = [sse.frame(HELLO, "1.1"), sse.frame(DONE, "1.2")]
    return [sse.frame(ACCEPTED, "1.0"), *script, *rest]


async def events(script: list[SseFrame | float]) -> list[str]:
    path = EngineGuard(
        cast(EngineClient, Engine(*script)), accept_timeout_s=0.3, first_token_timeout_s=8
    )
    request = ChatRequest(session_id="s", turn=1, content="hi")
    return [frame.event async for frame in await path.open(request, None, None)]


@pytest.mark.parametrize(
    "thoughts", [[sse.THINKING, 7.0, sse.THINKING, 7.0], [sse.THINKING, 1.0] * 60]
)
async def test_a_model_that_thinks_is_waited_for_and_its_thoughts_go_to_nobody(
    thoughts: list[SseFrame | float],
) -> None:
    assert await events(begun(*thoughts)) == ["control", "text-delta", "done"]


@pytest.mark.parametrize(
    "silence", [[9.0], [sse.THINKING, 9.0], [STILL_HERE, 5.0, STILL_HERE, 5.0]]
)
async def test_one_that_is_silent_is_not(silence: list[SseFrame | float]) -> None:
    with pytest.raises(EngineFailed, match="no_delta_in_time"):
        await events(begun(*silence))


async def test_a_thought_does_not_stand_for_accepted() -> None:
    with pytest.raises(EngineFailed, match="not_accepted_in_time"):
        await events([sse.THINKING, 0.2, sse.THINKING, 0.2, *begun()])

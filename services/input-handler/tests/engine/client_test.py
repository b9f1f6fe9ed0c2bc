import pytest

from dialog_contracts import sse
from dialog_contracts.http import ChatRequest
from input_handler.engine.client import EngineClient
from input_handler.errors import EngineFailed
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    DONE,
    ScriptedAnswer,
    ScriptedEngine,
    events,
)
from service_runtime.testing.foreign_server import foreign_first


async def test_a_stranger_in_the_engines_place_is_an_engine_that_is_not_reached_and_not_asked_twice_over_one_connection() -> (
    None
):
    async with foreign_first(3) as address:
        client = EngineClient(address.url)
        await client.open()
        for _ in range(3):
            with pytest.raises(EngineFailed) as failure:
                await client.call(
                    ChatRequest(session_id="s", turn=1, content="hi"),
                    None,
                    None,
                    accept_timeout_s=2,
                )
            assert failure.value.reason == "not_reached"
        await client.aclose()
    assert address.asked == [1, 1, 1]


async def test_an_engines_thoughts_and_heartbeats_are_frames_of_their_own(
    engine: ScriptedEngine, engine_url: str
) -> None:
    spoken = [
        events(1, ACCEPTED),
        sse.THINKING.encode(),
        b": still here\n\n",
        sse.frame(DONE, "1.1").encode(),
    ]
    engine.answers = [ScriptedAnswer(steps=spoken)]
    client = EngineClient(engine_url)
    await client.open()
    response = await client.call(
        ChatRequest(session_id="s", turn=1, content="hi"), None, None, accept_timeout_s=5
    )
    found = []
    while (frame := await response.next()) is not None:
        found.append(frame)
    response.close()
    await client.aclose()
    assert [frame.event for frame in found] == ["control", "comment", "comment", "done"]
    assert found[1] == sse.THINKING != found[2]

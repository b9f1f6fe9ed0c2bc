"""Without a legacy chain turns wait for an engine, by real calls to scripted engines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from dialog_contracts.http import ChatRequest
from dialog_contracts.rendezvous import rank_engines
from dialog_telemetry import metrics
from input_handler.engine import wait_for_engine
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import EnginePool
from input_handler.engine.session_router import SessionRouter
from input_handler.engine.wait_for_engine import WaitForEngine
from input_handler.errors import EngineFailed
from input_handler.testing.scripted_engine import (
    ACCEPTED,
    CUT,
    DONE,
    DRAINING,
    HELLO,
    ScriptedAnswer,
    ScriptedEngine,
    events,
    moved_to,
    refusal,
)
from service_runtime.testing.local_server import serving
from vtuber_cli import ports

REQUEST = ChatRequest(session_id="live-001", content="hi", turn=1)
STOP = ChatRequest(session_id="live-001", type="COMMAND", content="STOP")
HOME, STAND_IN = rank_engines("live-001", 2)
WHOLE = ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])
NAMES = ["control", "text-delta", "done"]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def path_to(
    stack: AsyncExitStack, *urls: str, wait_s: float = 10, accept_timeout_s: float = 10
) -> WaitForEngine:
    def path(client: EngineClient, name: str) -> EngineGuard:
        return EngineGuard(
            client,
            name=name,
            accept_timeout_s=accept_timeout_s,
            first_token_timeout_s=10,
            waited_for=wait_s > 0,
        )

    engines = EnginePool(urls, None, EngineClient, path)
    await engines.open()
    stack.push_async_callback(engines.aclose)
    return WaitForEngine(SessionRouter(engines), wait_s)


async def asked(path: WaitForEngine, request: ChatRequest = REQUEST) -> list[str]:
    return [frame.event async for frame in await path.open(request, None, None)]


async def url_of(stack: AsyncExitStack, engine: ScriptedEngine) -> str:
    return f"http://127.0.0.1:{await stack.enter_async_context(serving(engine))}"


def waits(outcome: str) -> Callable[[], float]:
    counter = metrics.ENGINE_WAITS.labels(outcome=outcome)._value
    before = counter.get()
    return lambda: float(counter.get() - before)


async def test_an_engine_that_is_being_replaced_is_waited_for_by_everybody(
    stack: AsyncExitStack,
) -> None:
    port, came = ports.free(), waits("came")
    path = await path_to(stack, f"http://127.0.0.1:{port}")
    asking = [asyncio.create_task(asked(path)) for _ in range(5)]
    await asyncio.sleep(0.7)
    assert not any(one.done() for one in asking)
    engine = ScriptedEngine([WHOLE])
    await stack.enter_async_context(serving(engine, port=port))
    assert await asyncio.gather(*asking) == [NAMES] * 5, "none of them found a circuit open"
    assert len(engine.requests) == 5
    assert came() == 5


@pytest.mark.parametrize(
    ("wait_s", "waited"), [(0.5, 1), (0, 0)], ids=["not for ever", "not where the chain answers"]
)
async def test_but_not_longer_than_the_settings_say(
    stack: AsyncExitStack, wait_s: float, waited: int
) -> None:
    in_vain = waits("in_vain")
    path = await path_to(stack, f"http://127.0.0.1:{ports.free()}", wait_s=wait_s)
    with pytest.raises(EngineFailed, match="not_reached"):
        await asked(path)
    assert in_vain() == waited


async def test_a_session_that_its_engine_still_has_while_it_ends_is_waited_for(
    stack: AsyncExitStack,
) -> None:
    leaving, staying = (
        ScriptedEngine([DRAINING]),
        ScriptedEngine([moved_to(HOME), moved_to(HOME), WHOLE]),
    )
    urls = {HOME: await url_of(stack, leaving), STAND_IN: await url_of(stack, staying)}
    path = await path_to(stack, urls[0], urls[1])
    assert await asked(path) == NAMES
    assert (len(leaving.requests), len(staying.requests)) == (3, 3)


async def test_an_engine_that_hangs_is_waited_for_as_long_as_its_lease_and_no_longer(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_engine, "UNRESPONSIVE_WAIT_S", 1)
    hanging = ScriptedEngine([ScriptedAnswer(wait_s=60)])
    path = await path_to(stack, await url_of(stack, hanging), accept_timeout_s=0.1)
    with pytest.raises(EngineFailed, match=r"not_accepted_in_time|circuit_open"):
        await asked(path)
    assert len(hanging.requests) >= 2
    hanging.answers = [ScriptedAnswer(wait_s=0.5), WHOLE]
    patient = await path_to(stack, await url_of(stack, hanging), accept_timeout_s=0.4)
    assert await asked(patient) == NAMES


async def test_a_stop_does_not_wait(stack: AsyncExitStack) -> None:
    path = await path_to(stack, f"http://127.0.0.1:{ports.free()}", wait_s=60)
    with pytest.raises(EngineFailed, match="not_reached"):
        await asyncio.wait_for(asked(path, STOP), 5)


@pytest.mark.parametrize(
    "answer",
    [refusal(500, "internal"), ScriptedAnswer(steps=[events(1, ACCEPTED), CUT])],
    ids=["fails", "breaks"],
)
async def test_what_an_engine_began_or_failed_at_is_not_asked_again(
    stack: AsyncExitStack, answer: ScriptedAnswer
) -> None:
    engine = ScriptedEngine([answer])
    path = await path_to(stack, await url_of(stack, engine), wait_s=60)
    with pytest.raises(EngineFailed):
        await asyncio.wait_for(asked(path), 5)
    assert len(engine.requests) == 1

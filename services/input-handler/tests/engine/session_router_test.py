"""Turns find the engine that has their session, by real calls to scripted engines."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from dialog_contracts.http import ChatRequest
from dialog_contracts.rendezvous import rank_engines
from dialog_contracts.sse import SseFrame
from dialog_telemetry import metrics
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import EnginePool
from input_handler.engine.session_router import SessionRouter
from input_handler.errors import EngineFailed, EngineRefused
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
HOME, STAND_IN = rank_engines("live-001", 2)
WHOLE = ScriptedAnswer(steps=[events(1, ACCEPTED, HELLO, DONE)])


class Spread:
    """Two engines by ordinal, and the way to them."""

    def __init__(self, engines: list[ScriptedEngine], owners: SessionRouter) -> None:
        self.home, self.stand_in = engines[HOME], engines[STAND_IN]
        self._owners = owners

    async def ask(self) -> list[SseFrame]:
        return [frame async for frame in await self._owners.open(REQUEST, None, None)]

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.home.requests), len(self.stand_in.requests)


@pytest.fixture
async def spread() -> AsyncIterator[Spread]:
    engines = [ScriptedEngine(answers=[WHOLE]), ScriptedEngine(answers=[WHOLE])]
    async with AsyncExitStack() as stack:
        urls = [
            f"http://127.0.0.1:{await stack.enter_async_context(serving(engine))}"
            for engine in engines
        ]
        yield Spread(engines, await _owners(urls, stack, accept_timeout_s=1))


async def _owners(
    urls: list[str],
    stack: AsyncExitStack,
    pattern: str | None = None,
    *,
    accept_timeout_s: float = 10,
) -> SessionRouter:
    def path(client: EngineClient, name: str) -> EngineGuard:
        return EngineGuard(
            client, name=name, accept_timeout_s=accept_timeout_s, first_token_timeout_s=10
        )

    engines = EnginePool(urls, pattern, EngineClient, path)
    await engines.open()
    stack.push_async_callback(engines.aclose)
    return SessionRouter(engines)


async def test_a_session_has_a_home(spread: Spread) -> None:
    for _ in range(3):
        assert [frame.event for frame in await spread.ask()] == ["control", "text-delta", "done"]
    assert spread.asked == (3, 0)


async def test_a_session_that_moved_is_followed_and_found_at_once_the_next_time(
    spread: Spread,
) -> None:
    spread.home.answers = [moved_to(STAND_IN)]
    before = metrics.ENGINE_FAILOVERS.labels(reason="not_owner")._value.get()
    assert [frame.event for frame in await spread.ask()][-1] == "done"
    assert spread.asked == (1, 1)
    await spread.ask()
    assert spread.asked == (1, 2)
    assert metrics.ENGINE_FAILOVERS.labels(reason="not_owner")._value.get() == before + 1


async def test_a_session_that_went_home_is_followed_home(spread: Spread) -> None:
    spread.home.answers, spread.stand_in.answers = (
        [moved_to(STAND_IN), WHOLE],
        [WHOLE, moved_to(HOME)],
    )
    for _ in range(3):
        assert [frame.event for frame in await spread.ask()][-1] == "done"
    assert spread.asked == (3, 2)


@pytest.mark.parametrize("answer", [DRAINING, ScriptedAnswer(wait_s=2)], ids=["drains", "hangs"])
async def test_an_engine_that_takes_no_turn_is_passed_over(
    spread: Spread, answer: ScriptedAnswer
) -> None:
    spread.home.answers = [answer]
    assert [frame.event for frame in await spread.ask()][-1] == "done"
    assert spread.asked == (1, 1)


async def test_while_the_lease_of_a_dead_engine_runs_nobody_speaks_for_it() -> None:
    answering = ScriptedEngine(answers=[moved_to(HOME)])
    async with AsyncExitStack() as stack:
        urls = [f"http://127.0.0.1:{ports.free()}"] * 2
        urls[STAND_IN] = f"http://127.0.0.1:{await stack.enter_async_context(serving(answering))}"
        owners = await _owners(urls, stack)
        with pytest.raises(EngineFailed) as failure:
            [frame async for frame in await owners.open(REQUEST, None, None)]
        assert failure.value.reason == "not_reached", (
            "the legacy chain answers meanwhile, and this is its reason"
        )
        answering.answers = [WHOLE]
        assert [frame.event async for frame in await owners.open(REQUEST, None, None)][-1] == "done"


async def test_with_no_engine_at_all_the_failure_says_so() -> None:
    async with AsyncExitStack() as stack:
        owners = await _owners([f"http://127.0.0.1:{ports.free()}" for _ in range(2)], stack)
        with pytest.raises(EngineFailed) as failure:
            [frame async for frame in await owners.open(REQUEST, None, None)]
        assert failure.value.reason == "not_reached"


@pytest.mark.parametrize(
    "answer", [moved_to(7), moved_to(HOME)], ids=["one that is not there", "itself"]
)
async def test_an_owner_that_cannot_be_is_a_failure_and_no_endless_search(
    spread: Spread, answer: ScriptedAnswer
) -> None:
    spread.home.answers = [answer]
    with pytest.raises(EngineFailed):
        await spread.ask()
    assert spread.asked == (1, 0)


async def test_an_engine_that_is_not_configured_yet_is_found_by_its_ordinal() -> None:
    """From one engine to two.

    Behind the only address that is known here, either of them may answer.
    """
    only, new = ScriptedEngine(answers=[]), ScriptedEngine(answers=[WHOLE])
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(only))
        port = await stack.enter_async_context(serving(new))
        # What a pod's own name is on a cluster, is a digit of its port here.
        urls, pattern = [f"http://127.0.0.1:{address}"], f"http://127.0.0.1:{port // 10}{{}}"
        owners = await _owners(urls, stack, pattern)
        digit = port % 10
        only.answers = [moved_to(digit)]
        assert [frame.event async for frame in await owners.open(REQUEST, None, None)][-1] == "done"
        assert [frame.event async for frame in await owners.open(REQUEST, None, None)][-1] == "done"
        assert (len(only.requests), len(new.requests)) == (1, 2), "and known from then on"
        new.answers, only.answers = [moved_to(300)], [WHOLE]
        with pytest.raises(EngineFailed):
            [frame async for frame in await owners.open(REQUEST, None, None)]


async def test_what_else_an_engine_says_is_the_turns_own(spread: Spread) -> None:
    spread.home.answers = [refusal(409, "turn_taken", next_turn=4)]
    with pytest.raises(EngineRefused):
        await spread.ask()
    spread.home.answers = [ScriptedAnswer(steps=[events(1, ACCEPTED), CUT])]
    with pytest.raises(EngineFailed, match="cut"):
        await spread.ask()
    assert spread.asked[1] == 0, "it was begun at home"

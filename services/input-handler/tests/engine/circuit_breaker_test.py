import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dialog_contracts.http import ErrorBody
from input_handler.engine.circuit_breaker import PROBE_S, CircuitBreaker
from input_handler.errors import ClaimedByLegacy, EngineFailed, EngineRefused

REFUSED = EngineRefused(422, ErrorBody(code="invalid", message="m"))
SILENT = ["not_accepted_in_time", "no_delta_in_time", "cut"]
AWAY = ["not_reached", "draining"]
ANSWERED = ["status_500", "status_502", "overloaded", "engine_llm_failed"]
pytestmark = pytest.mark.looptime


def made(failures: int = 2, *, waited_for: bool = False) -> CircuitBreaker:
    return CircuitBreaker("test", failures=failures, open_s=60, waited_for=waited_for)


@asynccontextmanager
async def admitted(circuit: CircuitBreaker) -> AsyncIterator[None]:
    """A turn, whose end is told to the circuit as `TurnStream` tells it."""
    admission = await circuit.admit()
    try:
        yield
    except (EngineFailed, EngineRefused, ClaimedByLegacy) as error:
        await admission.settle(error)
        raise
    except BaseException:
        admission.release()
        raise
    else:
        await admission.settle(None)


async def ended(circuit: CircuitBreaker, *errors: BaseException) -> str:
    """Turns that end so, one after another; the state after them."""
    for error in errors:
        with pytest.raises(type(error)):
            async with admitted(circuit):
                raise error
    return circuit.state


@pytest.mark.parametrize("reason", [*SILENT, *AWAY])
async def test_an_engine_that_is_gone_or_silent_opens_it(reason: str) -> None:
    circuit = made()
    assert await ended(circuit, EngineFailed(reason), EngineFailed(reason)) == "opened"
    assert circuit.is_open
    with pytest.raises(EngineFailed, match="circuit_open"):
        async with admitted(circuit):
            raise AssertionError


@pytest.mark.parametrize(
    ("reason", "state"),
    [*((reason, "opened") for reason in SILENT), *((reason, "closed") for reason in AWAY)],
)
async def test_one_that_is_waited_for_may_be_away(reason: str, state: str) -> None:
    assert await ended(made(waited_for=True), EngineFailed(reason), EngineFailed(reason)) == state


@pytest.mark.parametrize(
    "error",
    [
        *map(EngineFailed, ANSWERED),
        REFUSED,
        ClaimedByLegacy(),
        ValueError("ours"),
        GeneratorExit(),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
async def test_whatever_a_client_can_cause_does_not_open_it(error: BaseException) -> None:
    assert await ended(made(), *[error] * 20) == "closed"


@pytest.mark.parametrize(
    "error", [ValueError("ours"), GeneratorExit(), asyncio.CancelledError()], ids=repr
)
async def test_nor_does_a_client_that_leaves_keep_it_closed(error: BaseException) -> None:
    """Before.

    Every caller that left said that the engine was well, and one that left again and again kept a
    dead engine in use.
    """
    circuit = made()
    assert await ended(circuit, EngineFailed("cut"), error, EngineFailed("cut")) == "opened"


async def test_an_answer_of_any_kind_begins_the_count_anew() -> None:
    assert (
        await ended(made(), EngineFailed("cut"), EngineFailed("status_500"), EngineFailed("cut"))
        == "closed"
    )


async def test_a_caller_that_reads_nothing_does_not_keep_it_open() -> None:
    """Before.

    The turn that looked waited for its caller, and everybody else was sent elsewhere for as long.
    """
    circuit = CircuitBreaker("test", failures=2, open_s=0.0, waited_for=False)
    assert await ended(circuit, EngineFailed("cut"), EngineFailed("cut")) == "opened"

    async def looks() -> None:
        async with admitted(circuit):
            await asyncio.Event().wait()

    slow = asyncio.create_task(looks())
    await asyncio.sleep(1)
    with pytest.raises(EngineFailed, match="circuit_open"):
        async with admitted(circuit):
            raise AssertionError
    await asyncio.sleep(PROBE_S)
    async with admitted(circuit):
        pass
    assert circuit.state == "closed"
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert circuit.state == "closed"


async def test_only_the_first_word_on_a_turn_counts() -> None:
    circuit = made(failures=1)
    admission = await circuit.admit()
    await admission.settle(None)
    await admission.settle(EngineFailed("cut"))
    assert circuit.state == "closed"
    admission = await circuit.admit()
    admission.release()
    await admission.settle(EngineFailed("cut"))
    assert circuit.state == "closed"

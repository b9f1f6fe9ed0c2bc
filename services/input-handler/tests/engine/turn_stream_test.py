"""A turn's stream.

What is raised before the first delta, what is an event after it, and who learns of it.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_contracts import sse
from dialog_contracts.sse import ErrorEvent, SseFrame
from input_handler.engine.circuit_breaker import Admission, CircuitBreaker
from input_handler.engine.turn_stream import TurnStream
from input_handler.errors import ClaimedByLegacy, EngineFailed
from input_handler.testing.scripted_engine import ACCEPTED, DONE, HELLO

FAILED = ErrorEvent(code="llm_failed", message="m")
ELSEWHERE = ErrorEvent(code="answered_elsewhere", message="m")
Step = sse.ChatEvent | SseFrame | Exception


class Events:
    """A response whose events are there at once; an exception breaks it."""

    def __init__(self, *steps: Step, first: int = 0) -> None:
        self._steps, self._number = list(steps), first
        self.closed = 0

    async def next(self) -> SseFrame | None:
        if not self._steps:
            return None
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, SseFrame):
            return step
        self._number += 1
        return sse.frame(step, f"1.{self._number - 1}")

    def close(self) -> None:
        self.closed += 1


def stream(
    events: Events, admission: Admission | None = None, after: str | None = None
) -> TurnStream:
    return TurnStream(
        events,
        admission,
        turn=1,
        last_event_id=after,
        called_at=0.0,
        accept_timeout_s=1e9,
        first_token_timeout_s=1e9,
    )


async def read(turn: TurnStream) -> list[str]:
    async with await turn.start() as frames:
        return [f"{frame.id} {frame.event}" async for frame in frames]


async def test_a_whole_answer_passes_without_its_comments() -> None:
    events = Events(ACCEPTED, sse.THINKING, HELLO, sse.THINKING, DONE)
    assert await read(stream(events)) == ["1.0 control", "1.1 text-delta", "1.2 done"]
    assert events.closed


@pytest.mark.parametrize("steps", [(), (ACCEPTED,), (EngineFailed("cut"),), (sse.THINKING,)])
async def test_a_break_before_the_first_delta_is_raised(steps: Sequence[Step]) -> None:
    with pytest.raises(EngineFailed, match="cut"):
        await read(stream(Events(*steps)))


async def test_an_error_before_the_first_delta_is_raised_with_its_frame() -> None:
    with pytest.raises(EngineFailed, match="engine_llm_failed") as failure:
        await read(stream(Events(ACCEPTED, FAILED)))
    assert failure.value.frame is not None
    assert failure.value.frame.id == "1.1"
    with pytest.raises(ClaimedByLegacy):
        await read(stream(Events(ACCEPTED, ELSEWHERE)))


@pytest.mark.parametrize("steps", [(), (EngineFailed("cut"),)])
async def test_a_break_after_the_first_delta_is_the_last_event(steps: Sequence[Step]) -> None:
    events = Events(ACCEPTED, HELLO, *steps)
    assert await read(stream(events)) == ["1.0 control", "1.1 text-delta", "1.2 error"]


async def test_whoever_has_all_events_gets_none_and_no_error() -> None:
    assert await read(stream(Events(), after="1.2")) == []
    assert await read(stream(Events(), after="1.0")) == []


async def test_whoever_resumes_after_the_first_delta_gets_every_break_as_an_event() -> None:
    events = Events(HELLO, EngineFailed("cut"), first=5)
    assert await read(stream(events, after="1.4")) == ["1.5 text-delta", "1.6 error"]
    with pytest.raises(EngineFailed):
        await read(stream(Events(EngineFailed("cut")), after="1.4"))


async def test_the_circuit_learns_the_outcome_at_the_first_delta() -> None:
    circuit = CircuitBreaker("test", failures=1, open_s=60, waited_for=False)
    turn = await stream(Events(ACCEPTED, HELLO, EngineFailed("cut")), await circuit.admit()).start()
    assert [frame.event async for frame in turn] == ["control", "text-delta", "error"]
    assert circuit.state == "closed", "the engine had answered"
    with pytest.raises(EngineFailed):
        await read(stream(Events(ACCEPTED, EngineFailed("cut")), await circuit.admit()))
    assert circuit.state == "opened"


async def test_a_stream_that_is_left_before_the_first_delta_says_nothing_about_the_engine() -> None:
    circuit = CircuitBreaker("test", failures=1, open_s=0, waited_for=False)
    await (await circuit.admit()).settle(EngineFailed("cut"))
    events = Events(ACCEPTED, HELLO)
    async with await stream(events, await circuit.admit()).start() as turn:
        assert (await anext(turn)).event == "control"
        with pytest.raises(EngineFailed, match="circuit_open"):
            await circuit.admit()
    assert events.closed
    assert circuit.state != "closed"
    (await circuit.admit()).release()


STEPS = st.lists(
    st.sampled_from([ACCEPTED, HELLO, DONE, FAILED, ELSEWHERE, sse.THINKING, EngineFailed("cut")]),
    max_size=8,
)


@given(STEPS)
async def test_whatever_an_engine_sends_nothing_is_raised_after_the_first_delta(
    steps: list[Step],
) -> None:
    events, heard = Events(*steps), list[str]()
    try:
        async with await stream(events).start() as turn:
            async for frame in turn:
                heard.append(frame.event)
    except (EngineFailed, ClaimedByLegacy):
        assert not {"text-delta", "done"} & set(heard)
    else:
        assert "text-delta" in heard or "done" in heard
    assert events.closed

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from async_workers import ltm_worker
from async_workers.ltm_worker import MemoryEffect
from dialog_contracts.event_id import event_id
from dialog_redis.event_streams.entry import EffectUnavailable, Entry
from service_runtime.http.service_client import ServiceClient
from service_runtime.testing.local_server import serving


class Memory:
    """Long-term memory as the worker sees it."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.answer: Callable[[list[dict[str, Any]]], Response] = lambda events: JSONResponse(
            {"rejected": [None] * len(events)}
        )

    async def events(self, request: Request) -> Response:
        events = json.loads(await request.body())["events"]
        self.requests.append(events)
        return self.answer(events)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def effect(memory: Memory) -> AsyncIterator[MemoryEffect]:
    app = Starlette(routes=[Route("/events", memory.events, methods=["POST"])])
    async with serving(app) as port:
        client = ServiceClient(f"http://127.0.0.1:{port}")
        await client.open()
        yield MemoryEffect(client)
        await client.aclose()


def entry(number: int, text: str = "question") -> Entry:
    raw = {
        "eventId": event_id(1_790_000_000_000, number),
        "correlationId": f"a#{number}",
        "sessionId": "a",
        "turn": number,
        "type": "LtmWriteRequested",
        "payload": {"text": text, "reply": "r", "vectorize": True},
        "ts": 1_790_000_000,
    }
    return Entry(f"{number}-0", {"payload": json.dumps(raw)})


async def test_events_are_passed_on_together_and_as_they_are(
    effect: MemoryEffect, memory: Memory
) -> None:
    results = await effect.apply([entry(1), entry(2)])
    assert [each.rejected for each in results] == [None, None]
    [events] = memory.requests
    assert [event["turn"] for event in events] == [1, 2]


async def test_what_is_no_event_is_not_passed_on(effect: MemoryEffect, memory: Memory) -> None:
    bad = Entry("9-0", {"payload": "{}"})
    results = await effect.apply([entry(1), bad, entry(2)])
    assert [each.rejected is None for each in results] == [True, False, True]
    assert "eventId" in (results[1].rejected or "")
    assert len(memory.requests[0]) == 2


async def test_large_events_are_passed_on_in_several_requests(
    effect: MemoryEffect, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ltm_worker, "MAX_BODY_BYTES", 2_000)
    results = await effect.apply([entry(number, "x" * 900) for number in range(1, 6)])
    assert len(results) == 5
    assert [len(events) for events in memory.requests] == [1, 1, 1, 1, 1]


async def test_a_reason_of_long_term_memory_reaches_its_event(
    effect: MemoryEffect, memory: Memory
) -> None:
    memory.answer = lambda events: JSONResponse({"rejected": [None, "no"]})
    results = await effect.apply([entry(1), entry(2)])
    assert [each.rejected for each in results] == [None, "no"]


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_an_error_of_its_own_makes_it_unavailable(
    effect: MemoryEffect, memory: Memory, status: int
) -> None:
    memory.answer = lambda events: JSONResponse({"message": "busy"}, status)
    with pytest.raises(EffectUnavailable, match="busy"):
        await effect.apply([entry(1)])


async def test_an_answer_in_another_form_makes_it_unavailable(
    effect: MemoryEffect, memory: Memory
) -> None:
    memory.answer = lambda events: JSONResponse(["?"])
    with pytest.raises(EffectUnavailable):
        await effect.apply([entry(1)])


async def test_a_refusal_is_a_failure_of_the_events(effect: MemoryEffect, memory: Memory) -> None:
    memory.answer = lambda events: JSONResponse({"message": "too long"}, 413)
    with pytest.raises(RuntimeError, match="too long"):
        await effect.apply([entry(1)])


async def test_one_that_does_not_answer_in_time_is_unavailable(
    effect: MemoryEffect, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ltm_worker, "ANSWER_TIMEOUT_S", 0.05)
    slow = asyncio.Event()

    async def wait(request: Request) -> Response:
        await slow.wait()
        return JSONResponse({})

    app = Starlette(routes=[Route("/events", wait, methods=["POST"])])
    async with serving(app) as port:
        client = ServiceClient(f"http://127.0.0.1:{port}")
        await client.open()
        with pytest.raises(EffectUnavailable, match="TimeoutError"):
            await MemoryEffect(client).apply([entry(1)])
        slow.set()
        await client.aclose()

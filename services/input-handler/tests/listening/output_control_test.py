import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from input_handler.listening import output_control
from input_handler.listening.output_control import OutputControl, Verb
from service_runtime.testing.local_server import serving
from service_runtime.testing.stranger import strangers_first


class Output:
    """output-handler's control, as far as its answers go."""

    def __init__(self, body: dict[str, object], status: int = 202, *, after_s: float = 0) -> None:
        self.body, self.status, self.after_s = body, status, after_s
        self.asked: list[tuple[str, dict[str, object]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        self.asked.append((request.url.path, await request.json()))
        await asyncio.sleep(self.after_s)
        await JSONResponse(self.body, self.status)(scope, receive, send)


async def done(output: Output, verb: Verb) -> bool:
    async with serving(output) as port:
        control = OutputControl(f"http://127.0.0.1:{port}/")
        await control.open()
        try:
            return await control.do(verb, "live-001")
        finally:
            await control.aclose()


@pytest.mark.parametrize(("verb", "field"), [("pause", "held"), ("resume", "held"), ("stop", "stopped")])
@pytest.mark.parametrize("happened", [True, False])
async def test_each_verb_is_asked_for_by_session_and_reason_and_says_whether_anything_happened(
    verb: Verb, field: str, happened: bool
) -> None:
    output = Output({field: happened})
    assert await done(output, verb) is happened
    (path, body), *more = output.asked
    assert (path, body["sessionId"], body["reason"], more) == (f"/control/{verb}", "live-001", "speech", [])


@pytest.mark.parametrize("status", [404, 409, 503])
async def test_a_refusal_is_nothing_done(status: int) -> None:
    assert not await done(Output({"code": "no"}, status), "stop")


async def test_an_answer_without_its_field_is_nothing_done() -> None:
    assert not await done(Output({}), "stop")


async def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_control, "WITHIN_S", 0.05)
    assert not await asyncio.wait_for(done(Output({"held": True}, after_s=1), "pause"), 5)


async def test_a_stranger_in_its_place_does_not_keep_later_words_from_silencing_the_reply() -> None:
    async with strangers_first(1, b'{"stopped": true}') as address:
        control = OutputControl(address.url)
        await control.open()
        assert not await control.do("stop", "s")
        # What is at the address now answers 200, which is not what a STOP is answered with, but it was reached.
        assert not await control.do("stop", "s")
        await control.aclose()
    assert address.asked == [1, 1]

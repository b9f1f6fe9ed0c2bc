import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from input_handler.microphone import playback_client
from input_handler.microphone.playback_client import PausedTurn, PlaybackClient
from service_runtime.testing.foreign_server import foreign_first
from service_runtime.testing.local_server import serving


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


async def paused(output: Output) -> PausedTurn | None:
    async with serving(output) as port:
        control = PlaybackClient(f"http://127.0.0.1:{port}/")
        await control.open()
        try:
            return await control.pause("live-001")
        finally:
            await control.aclose()


async def test_what_follows_a_pause_names_the_turn_that_was_paused() -> None:
    output = Output({"held": True, "turn": 7})
    async with serving(output) as port:
        control = PlaybackClient(f"http://127.0.0.1:{port}")
        await control.open()
        held = await control.pause("live-001")
        assert held == PausedTurn(7)
        await control.resume("live-001", held)
        await control.stop("live-001", held)
        await control.aclose()
    told = [
        (path, body.get("turn"), body["sessionId"], body["reason"]) for path, body in output.asked
    ]
    assert told == [
        ("/control/pause", None, "live-001", "speech"),
        ("/control/resume", 7, "live-001", "speech"),
        ("/control/stop", 7, "live-001", "speech"),
    ]


async def test_where_nothing_sounds_nothing_is_held() -> None:
    assert await paused(Output({"held": False})) is None


@pytest.mark.parametrize("status", [404, 409, 503])
async def test_a_refusal_holds_nothing(status: int) -> None:
    assert await paused(Output({"code": "no"}, status)) is None


async def test_an_answer_without_its_field_holds_nothing() -> None:
    assert await paused(Output({})) is None


async def test_an_answer_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(playback_client, "TIMEOUT_S", 0.05)
    assert await asyncio.wait_for(paused(Output({"held": True}, after_s=1)), 5) is None


async def test_a_stranger_in_its_place_does_not_keep_later_words_from_reaching_it() -> None:
    async with foreign_first(1) as address:
        control = PlaybackClient(address.url)
        await control.open()
        for _ in range(2):
            assert await control.pause("s") is None
        await control.aclose()
    assert address.asked == [1, 1]

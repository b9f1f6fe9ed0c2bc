import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from dialog_telemetry import metrics
from service_runtime.http.service_client import MAX_RETIRED, ServiceClient, UnexpectedUpstream
from service_runtime.testing.foreign_server import foreign_first
from service_runtime.testing.local_server import serving
from vtuber_cli import ports


async def test_a_service_is_asked_over_one_connection() -> None:
    async with foreign_first(0, b'{"ready": true}') as address:
        pool = ServiceClient(address.url + "/")
        await pool.open()
        assert await pool.ready()
        for _ in range(3):
            answer = await pool.request("POST", "/x", body=b"abc")
            assert await answer.json() == {"ready": True}
        await pool.aclose()
    assert address.asked == [4]


async def test_a_connection_to_a_stranger_is_not_used_again() -> None:
    before = metrics.UNEXPECTED_UPSTREAMS._value.get()
    async with foreign_first(2) as address:
        pool = ServiceClient(address.url)
        await pool.open()
        assert not await pool.ready(), "the very first call, which warms a connection"
        with pytest.raises(UnexpectedUpstream, match="404 application/octet-stream"):
            await pool.request("POST", "/x", body=b"abc")
        for _ in range(2):
            answer = await pool.request("POST", "/x", body=b"abc")
            assert (answer.status, await answer.read()) == (200, b"{}")
        await pool.aclose()
    assert address.asked == [1, 1, 2]
    assert metrics.UNEXPECTED_UPSTREAMS._value.get() == before + 2


class Mixed:
    """`/stream` is ours and goes on until told to end; anything else is a stranger's."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = PlainTextResponse("no healthy upstream", 503)
        if scope["path"] == "/stream":
            await StreamingResponse(self._pieces(), media_type="text/event-stream")(
                scope, receive, send
            )
        else:
            await response(scope, receive, send)

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield b"first"
        await self.end.wait()
        yield b"last"


async def test_what_runs_over_other_connections_goes_on_however_many_strangers_answer_at_once() -> (
    None
):
    service = Mixed()
    async with serving(service) as port:
        pool = ServiceClient(f"http://127.0.0.1:{port}")
        await pool.open()
        running = await pool.request("GET", "/stream")
        asked = await asyncio.gather(
            *(pool.request("GET", "/x") for _ in range(2 * MAX_RETIRED)), return_exceptions=True
        )
        assert {type(answer) for answer in asked} == {UnexpectedUpstream}
        service.end.set()
        assert await running.read() == b"firstlast"
        await pool.aclose()


async def test_connections_that_were_given_up_are_bounded() -> None:
    async with foreign_first(MAX_RETIRED + 3) as address:
        pool = ServiceClient(address.url)
        await pool.open()
        for _ in range(MAX_RETIRED + 3):
            with pytest.raises(UnexpectedUpstream):
                await pool.request("GET", "/x")
        assert len(pool._retired) == MAX_RETIRED
        await pool.aclose()


async def test_nobody_at_the_address_is_a_connection_error_and_not_ready() -> None:
    pool = ServiceClient(f"http://127.0.0.1:{ports.free()}")
    await pool.open()
    assert not await pool.ready()
    with pytest.raises(aiohttp.ClientConnectionError):
        await pool.request("GET", "/x")
    await pool.aclose()

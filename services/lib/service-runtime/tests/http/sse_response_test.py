"""A turn's response against a scripted caller, in virtual time."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Message, Scope

from dialog_contracts.sse import SseFrame, SseParser
from service_runtime.http.sse_response import SseResponse

pytestmark = pytest.mark.looptime
SCOPE: Scope = {"type": "http", "method": "POST"}


class Caller:
    """An ASGI server's side: what was sent, when; `leave` closes the connection."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, Message]] = []
        self.left = 0
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append((asyncio.get_running_loop().time(), message))

    def leave(self) -> None:
        self._gone.set()

    async def on_leave(self) -> None:
        self.left += 1

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for _, message in self.sent)

    async def listen(self, batches: AsyncIterator[list[SseFrame]]) -> None:
        await SseResponse(batches, self.on_leave)(SCOPE, self.receive, self.send)


def frame(number: int) -> SseFrame:
    return SseFrame(event="text-delta", data=f'{{"content":"{number}"}}', id=f"1.{number}")


async def source(count: int, pause_s: float, batch: int = 1) -> AsyncIterator[list[SseFrame]]:
    for number in range(count):
        await asyncio.sleep(pause_s)
        yield [frame(number * batch + n) for n in range(batch)]


async def test_frames_go_out_as_they_come_and_the_response_ends_with_its_source() -> None:
    caller = Caller()
    await caller.listen(source(3, 1.0, batch=2))
    assert list(SseParser().feed(caller.body)) == [frame(number) for number in range(6)]
    assert [round(at) for at, message in caller.sent if message.get("body")] == [1, 2, 3]
    assert caller.sent[-1][1]["more_body"] is False
    assert caller.left == 1


async def test_a_silent_stream_gets_a_comment_every_ten_seconds() -> None:
    silent = Caller()
    await silent.listen(source(1, 35.0))
    assert silent.body.count(b": still here\n\n") == 3
    assert list(SseParser().feed(silent.body)) == [frame(0)]


async def test_a_caller_that_leaves_ends_it_at_once() -> None:
    caller = Caller()
    listening = asyncio.create_task(caller.listen(source(100, 1.0)))
    await asyncio.sleep(2.5)
    caller.leave()
    await asyncio.sleep(0.01)
    assert listening.done()
    assert listening.exception() is None
    assert caller.left == 1
    assert len(list(SseParser().feed(caller.body))) == 2


async def test_the_servers_own_cancellation_goes_through() -> None:
    caller = Caller()
    listening = asyncio.create_task(caller.listen(source(100, 1.0)))
    await asyncio.sleep(2.5)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert caller.left == 1


async def test_a_caller_that_is_gone_before_the_first_frame_leaves_the_turn_too() -> None:
    caller = Caller()
    caller.leave()
    await caller.listen(source(100, 1.0))
    assert caller.left == 1
    assert not list(SseParser().feed(caller.body))


async def test_a_source_that_breaks_is_left_and_its_error_is_raised() -> None:
    async def breaks() -> AsyncIterator[list[SseFrame]]:
        yield [frame(0)]
        raise KeyError("x")

    caller = Caller()
    with pytest.raises(KeyError):
        await caller.listen(breaks())
    assert caller.left == 1


async def test_a_server_that_is_asked_to_end_lets_running_turns_finish() -> None:
    caller = Caller()
    listening = asyncio.create_task(caller.listen(source(3, 5.0)))
    await asyncio.sleep(1)
    uvicorn.Server(uvicorn.Config(SseResponse)).handle_exit(signal.SIGTERM, None)
    await listening
    assert len(list(SseParser().feed(caller.body))) == 3

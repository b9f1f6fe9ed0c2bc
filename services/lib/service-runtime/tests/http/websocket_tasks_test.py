"""Tasks that serve one WebSocket end together."""

import asyncio

import pytest
from starlette.websockets import WebSocketDisconnect

from service_runtime.http.websocket_tasks import run_until_first_ends


async def test_the_first_that_ends_ends_the_others() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("forever")

    async def short() -> None:
        await asyncio.sleep(0)
        ended.append("short")

    await run_until_first_ends(forever(), short())
    assert ended == ["short", "forever"]


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), RuntimeError("close was sent")])
async def test_a_connection_that_closes_is_an_end(error: Exception) -> None:
    async def fails() -> None:
        raise error

    await run_until_first_ends(fails(), asyncio.Event().wait())  # type: ignore[arg-type]


async def test_a_defect_is_raised_and_nothing_is_left_running() -> None:
    others: list[asyncio.Task[None] | None] = []

    async def other() -> None:
        others.append(asyncio.current_task())
        await asyncio.Event().wait()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run_until_first_ends(fails(), other())
    await asyncio.sleep(0)
    task = others[0]
    assert task is not None
    assert task.done()

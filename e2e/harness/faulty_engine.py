"""An engine that fails on demand, in front of the real one: the first part of the session's name says how.

`python faulty_engine.py PORT HERE THERE` listens on HERE; a call to `/<port of the real engine>/chat/stream` goes on to that engine on
THERE, or does not. Needs nothing but aiohttp, so that it also runs in an image of ours on a cluster.
"""

import asyncio
import json
import sys
from typing import Final

import aiohttp
from aiohttp import web

BEFORE_ANY_WORD: Final = ("absent", "refuses", "hangs", "silent", "fails", "busy", "cutearly")
"""Ways to fail after which the other path has to answer."""

AFTER_A_WORD: Final = ("cutlate", "hangslate")
"""Ways to fail after which the turn is the engine's for good, and its caller is told that it broke off."""

HARMLESS: Final = ("slow", "well")
THERE: Final = web.AppKey("there", str)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    fault = json.loads(body)["sessionId"].partition("-")[0]
    transport = request.transport
    assert transport is not None
    if fault in ("absent", "refuses"):
        transport.abort()
        raise ConnectionResetError
    if fault == "hangs":
        await asyncio.sleep(3600)
    if fault in ("fails", "busy"):
        status = 500 if fault == "fails" else 429
        return web.json_response(
            {"code": "internal" if fault == "fails" else "too_many", "message": fault},
            status=status,
        )
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    if fault in ("silent", "cutearly"):
        turn = json.loads(body)["turn"]
        await answer.write(
            f'id: {turn}.0\nevent: control\ndata: {{"action": "ACCEPTED"}}\n\n'.encode()
        )
        if fault == "silent":
            await asyncio.sleep(3600)
        await asyncio.sleep(0.05)
        transport.abort()
        raise ConnectionResetError
    url = f"http://{request.app[THERE]}:{request.match_info['engine']}/chat/stream"
    headers = {
        key: value
        for key, value in request.headers.items()
        if key.lower() in ("traceparent", "last-event-id")
    }
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers={**headers, "content-type": "application/json"}) as real,
    ):
        if real.status != 200:
            return web.Response(
                status=real.status, body=await real.read(), content_type="application/json"
            )
        async for data in real.content.iter_any():
            if fault == "slow":
                await asyncio.sleep(0.02)
            await answer.write(data)
            if fault == "cutlate" and b"text-delta" in data:
                await asyncio.sleep(0.05)
                transport.abort()
                raise ConnectionResetError
            if fault == "hangslate" and b"text-delta" in data:
                # A machine that froze: the connection stays, and nothing more comes over it.
                await asyncio.sleep(3600)
    return answer


async def ready(request: web.Request) -> web.Response:
    return web.json_response({"ready": True})


def main() -> None:
    port, here, there = sys.argv[1:]
    app = web.Application()
    app[THERE] = there
    app.router.add_post("/{engine}/chat/stream", chat)
    app.router.add_get("/{engine}/readyz", ready)
    web.run_app(app, host=here, port=int(port), print=None, shutdown_timeout=0.5)


if __name__ == "__main__":
    main()

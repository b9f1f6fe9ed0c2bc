"""An engine that fails on demand, in front of the real one: the first part of the session's name says how.

`python -m e2e.harness.faulty_engine PORT`; a call to `/<port of the real engine>/chat/stream` goes on to that engine, or does not.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from aiohttp import web

from e2e.harness.stack import ROOT, environment
from vtuber_cli import ports

BEFORE_ANY_WORD: Final = ("absent", "refuses", "hangs", "silent", "fails", "busy", "cutearly")
"""Ways to fail after which the other path has to answer."""

AFTER_A_WORD: Final = ("cutlate",)
HARMLESS: Final = ("slow", "well")


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
        return web.json_response({"code": "internal" if fault == "fails" else "too_many", "message": fault}, status=status)
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    if fault in ("silent", "cutearly"):
        turn = json.loads(body)["turn"]
        await answer.write(f'id: {turn}.0\nevent: control\ndata: {{"action": "ACCEPTED"}}\n\n'.encode())
        if fault == "silent":
            await asyncio.sleep(3600)
        await asyncio.sleep(0.05)
        transport.abort()
        raise ConnectionResetError
    url = f"http://127.0.0.1:{request.match_info['engine']}/chat/stream"
    headers = {key: value for key, value in request.headers.items() if key.lower() in ("traceparent", "last-event-id")}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers={**headers, "content-type": "application/json"}) as real,
    ):
        if real.status != 200:
            return web.Response(status=real.status, body=await real.read(), content_type="application/json")
        async for data in real.content.iter_any():
            if fault == "slow":
                await asyncio.sleep(0.02)
            await answer.write(data)
            if fault == "cutlate" and b"text-delta" in data:
                await asyncio.sleep(0.05)
                transport.abort()
                raise ConnectionResetError
    return answer


async def ready(request: web.Request) -> web.Response:
    return web.json_response({"ready": True})


@contextmanager
def running() -> Iterator[str]:
    """A process; gives what DIALOG_ENGINE_URL has to be."""
    port = ports.free()
    process = subprocess.Popen([sys.executable, "-m", "e2e.harness.faulty_engine", str(port)], env=environment({}), cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while not ports.busy(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/{{dialog-engine}}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            # It waits for callers that it leaves without an answer.
            process.kill()
            process.wait(timeout=5)


def main() -> None:
    app = web.Application()
    app.router.add_post("/{engine}/chat/stream", chat)
    app.router.add_get("/{engine}/readyz", ready)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, shutdown_timeout=0.5)


if __name__ == "__main__":
    main()

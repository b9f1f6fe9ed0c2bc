"""Base class of local servers that replace a vendor, for tests and the bench.

It has the port, the shutdown and the command line; subclasses have the routes.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterable
from typing import Self

from aiohttp import web


class VendorServer:
    """`async with Mock() as server: … server.address`.

    It listens only between `start` and `stop`.
    """

    address: str = ""
    """Address of the server, once it listens."""

    def __init__(self, routes: Iterable[web.RouteDef], address: str) -> None:
        """`address` is a template with `{host}` and `{port}`."""
        self._routes, self._template = list(routes), address
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; port 0 means any free port."""
        app = web.Application()
        app.add_routes(self._routes)
        # A handler of a stream that sends nothing notices only by its cancellation that the client
        # left.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.address = self._template.format(host=host, port=self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def main(make: Callable[[], VendorServer], what: str, port: int) -> None:
    """Serve until interrupted, on `--host` and `--port`."""
    parser = argparse.ArgumentParser(description=f"A mock of {what}.")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(make(), arguments.host, arguments.port))
    except KeyboardInterrupt:
        return


async def _serve(server: VendorServer, host: str, port: int) -> None:
    await server.start(port, host)
    # Parents wait for this line; it names the port when it was 0.
    print(server.address, flush=True)  # noqa: T201
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


async def cut_off(http: web.Request) -> None:
    """Abort the connection after what was sent has arrived.

    The pause is needed because a reset overtakes data that is still in transit.
    """
    await asyncio.sleep(0.02)
    assert http.transport is not None
    http.transport.abort()

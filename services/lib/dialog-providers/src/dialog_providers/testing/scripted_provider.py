"""A plug-in that does what a test says, for the tests of the border to providers."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any


class ScriptedProvider:
    """`play` yields the script, waits for the seconds (floats) in it, and raises the exceptions. `warms`: what `warm` raises."""

    name = "stranger"

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.closed = False
        self.warms: Exception | None = None

    async def play(self) -> AsyncGenerator[Any, None]:
        """One stream of it."""
        try:
            for step in self.script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.closed = True

    async def warm(self) -> None:
        """Raises `warms`, if there is one."""
        if self.warms is not None:
            raise self.warms

    async def aclose(self) -> None:
        """Always fails."""
        raise OSError("cannot be closed")

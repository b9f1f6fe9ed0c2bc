"""A plug-in that follows a script, for tests of the boundary to providers."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any


class ScriptedProvider:
    """`play` yields the script's items, sleeps for its floats (seconds) and raises its exceptions.

    `warms` is the exception that `warm` raises, or None.
    """

    name = "stranger"

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.closed = False
        self.warms: Exception | None = None

    async def play(self) -> AsyncGenerator[Any, None]:
        """Play the script once."""
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
        """Raise `warms`, if it is set."""
        if self.warms is not None:
            raise self.warms

    async def aclose(self) -> None:
        """Always raise OSError."""
        raise OSError("cannot be closed")

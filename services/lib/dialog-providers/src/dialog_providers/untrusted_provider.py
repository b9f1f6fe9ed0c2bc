"""The border to providers and plug-ins, which others wrote and which may raise, return or wait for anything.

`UntrustedProvider` stands around one object. Whatever is called of it is called within `failures()`, so that every exception is a typed
failure that names it; its iterators are read within `items()`, which closes them, and with `next_before()`, which gives up at a time. A
cancellation counts as ours only when our own task was asked to stop: otherwise something within the provider was cancelled.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

import structlog

log = structlog.get_logger("providers")

MAX_NAME_CHARS: Final = 64
MAX_ABOUT_CHARS: Final = 200
WARM_TIMEOUT_S: Final = 30.0
"""Providers of ours give up much earlier, with a better reason; a plug-in that hangs ends here."""

END: Final = object()
"""What `next_before` gives at the end."""

Failed = Callable[[str, Literal["connection", "unexpected"], str], Exception]
"""Makes the typed failure of a provider's name, a reason and a detail."""


class DeadlineReached(Exception):
    """The next item did not come in time."""


def name_of(provider: object) -> str:
    """Its `name`, or its class's: a label of metrics and logs, so short and never empty."""
    try:
        name = getattr(provider, "name", None)
    # The border to plug-ins: a property may raise anything.
    except Exception:  # noqa: BLE001
        name = None
    return (name if isinstance(name, str) and name else type(provider).__name__)[:MAX_NAME_CHARS]


def about(provider: object) -> str:
    """What it says of itself, for people: its model and where it is; nothing where it says nothing."""
    said = getattr(provider, "about", None)
    return said[:MAX_ABOUT_CHARS] if isinstance(said, str) else ""


class UntrustedProvider:
    """One provider. `failed` makes its failures; those of the type `known` are its own words and pass as they are."""

    def __init__(self, provider: object, failed: Failed, known: type[Exception]) -> None:
        self.name, self.about = name_of(provider), about(provider)
        self._provider, self._failed, self._known = provider, failed, known

    @asynccontextmanager
    async def failures(self) -> AsyncGenerator[None, None]:
        """Raises what `failed` makes, whatever is raised within."""
        try:
            yield
        except self._known:
            raise
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise self._failed(self.name, "unexpected", "cancelled within the provider") from error
        # The border to providers and plug-ins: whatever it is, it is the provider's failure.
        except Exception as error:
            raise self._failed(
                self.name, "unexpected", f"{type(error).__name__} {error}"
            ) from error

    @asynccontextmanager
    async def items(
        self, source: AsyncIterator[object]
    ) -> AsyncGenerator[AsyncIterator[object], None]:
        """The items of what a method returned, which may be no generator. What closing it raises is logged: what it gave counts."""
        try:
            if inspect.isawaitable(source):
                # An `async def` with a `return` in it.
                source = await source
            yield aiter(source)
        finally:
            await self._close(source)

    async def warm(self, *methods: str) -> None:
        """Call those of these methods that it has. Raises what `failed` makes."""
        async with self.failures():
            try:
                async with asyncio.timeout(WARM_TIMEOUT_S) as limit:
                    for method in methods:
                        await self._call_if_there(method)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise self._failed(
                    self.name, "connection", f"not warm after {WARM_TIMEOUT_S:.0f} s"
                ) from error

    async def aclose(self) -> None:
        """Close it; what that raises is logged, because nobody could do more about it."""
        try:
            await self._call_if_there("aclose")
        # The border to providers and plug-ins.
        except Exception as error:  # noqa: BLE001
            log.warning("provider_not_closed", provider=self.name, error=repr(error)[:200])

    async def _call_if_there(self, method: str) -> None:
        """Not everybody has something to warm or to close, and not everybody's method is a coroutine."""
        found = getattr(self._provider, method, None)
        made = found() if found is not None else None
        if inspect.isawaitable(made):
            await made

    async def _close(self, source: object) -> None:
        close = getattr(source, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            log.warning(
                "stream_not_closed", provider=self.name, error="cancelled within the provider"
            )
        # The border to providers and plug-ins.
        except Exception as error:  # noqa: BLE001
            log.warning("stream_not_closed", provider=self.name, error=repr(error)[:200])


async def next_before(items: AsyncIterator[object], end: float) -> object:
    """The next item, or NO_MORE. Raises `DeadlineReached` at `end` of the loop's clock; a TimeoutError of the provider's own passes."""
    try:
        async with asyncio.timeout_at(end):
            return await anext(items, END)
    except TimeoutError as error:
        if asyncio.get_running_loop().time() < end:
            raise
        raise DeadlineReached from error


def _is_cancelled() -> bool:
    """Whether a CancelledError that is handled now was meant for this task; otherwise something that it waited for was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0

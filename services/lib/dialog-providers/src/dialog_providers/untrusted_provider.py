"""The boundary to providers and plug-ins that others wrote.

Such an object may raise, return or wait for anything: a plain function where a coroutine is
expected, an exception of a vendor's library, a generator that never yields. One turn may fail
because of it, but with a typed error that names the provider, and within a time limit.

UntrustedProvider wraps one object. Callers use it within `failures()`, which turns every exception
into a typed failure. They read its iterators within `items()`, which closes them, and with
`next_before()`, which stops at a deadline.

A plain `except Exception` would not do, because a provider may also cancel: a CancelledError counts
as ours only if our own task was asked to stop; otherwise something within the provider was
cancelled. `dialog_llm.boundary` and `dialog_voice.boundary` build on this module and also clean
what a provider sends.
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
"""Longest `warm` of a plug-in in seconds.

Our own providers stop much earlier, with a better reason.
"""

END: Final = object()
"""Value that `next_before` returns after the last item."""

Failed = Callable[[str, Literal["connection", "unexpected"], str], Exception]
"""Creates the typed failure from a provider's name, a reason and a detail."""


class DeadlineReached(Exception):
    """The next item did not arrive in time."""


def name_of(provider: object) -> str:
    """Return the provider's `name`, or its class's name.

    It is a label of metrics and logs, so it is never empty and has at most 64 characters.
    """
    try:
        name = getattr(provider, "name", None)
    # The boundary to plug-ins: a property may raise anything.
    except Exception:  # noqa: BLE001
        name = None
    return (name if isinstance(name, str) and name else type(provider).__name__)[:MAX_NAME_CHARS]


def about(provider: object) -> str:
    """Return a provider's description of itself, for people: its model and its address.

    It is empty where the provider has none, and has at most 200 characters.
    """
    said = getattr(provider, "about", None)
    return said[:MAX_ABOUT_CHARS] if isinstance(said, str) else ""


class UntrustedProvider:
    """Wraps one provider.

    `failed` creates its failures. Exceptions of the type `known` are the provider's own typed
    failures and pass unchanged.
    """

    def __init__(self, provider: object, failed: Failed, known: type[Exception]) -> None:
        self.name, self.about = name_of(provider), about(provider)
        self._provider, self._failed, self._known = provider, failed, known

    @asynccontextmanager
    async def failures(self) -> AsyncGenerator[None, None]:
        """Turn every exception within the block into a failure made by `failed`."""
        try:
            yield
        except self._known:
            raise
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise self._failed(self.name, "unexpected", "cancelled within the provider") from error
        # The boundary to providers and plug-ins: any exception is the provider's failure.
        except Exception as error:
            raise self._failed(
                self.name, "unexpected", f"{type(error).__name__} {error}"
            ) from error

    @asynccontextmanager
    async def items(
        self, source: AsyncIterator[object]
    ) -> AsyncGenerator[AsyncIterator[object], None]:
        """Yield the items of what a method returned, and close it afterwards.

        `source` need not be a generator. An exception of its closing is logged only, since the
        items are valid.
        """
        try:
            if inspect.isawaitable(source):
                # An `async def` that returns an iterator instead of being a generator.
                source = await source
            yield aiter(source)
        finally:
            await self._close(source)

    async def warm(self, *methods: str) -> None:
        """Call those of `methods` that the provider has.

        Raises what `failed` makes; `connection` after 30 s.
        """
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
        """Close the provider.

        Exceptions are logged, because the caller could not handle them either.
        """
        try:
            await self._call_if_there("aclose")
        # The boundary to providers and plug-ins.
        except Exception as error:  # noqa: BLE001
            log.warning("provider_not_closed", provider=self.name, error=repr(error)[:200])

    async def _call_if_there(self, method: str) -> None:
        """Call a method that may be absent and may be a plain function."""
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
        # The boundary to providers and plug-ins.
        except Exception as error:  # noqa: BLE001
            log.warning("stream_not_closed", provider=self.name, error=repr(error)[:200])


async def next_before(items: AsyncIterator[object], end: float) -> object:
    """Return the next item, or END.

    Raises DeadlineReached at the time `end` of the loop's clock; a TimeoutError of the provider
    itself passes.
    """
    try:
        async with asyncio.timeout_at(end):
            return await anext(items, END)
    except TimeoutError as error:
        if asyncio.get_running_loop().time() < end:
            raise
        raise DeadlineReached from error


def _is_cancelled() -> bool:
    """Return whether a CancelledError that is being handled was meant for this task.

    Otherwise something that the task waited for was cancelled.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0

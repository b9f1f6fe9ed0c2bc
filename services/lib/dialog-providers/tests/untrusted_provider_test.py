import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from dialog_providers.testing.scripted_provider import ScriptedProvider
from dialog_providers.untrusted_provider import (
    END,
    MAX_ABOUT_CHARS,
    MAX_NAME_CHARS,
    DeadlineReached,
    UntrustedProvider,
    about,
    name_of,
    next_before,
)

pytestmark = pytest.mark.looptime


class Failure(Exception):
    def __init__(self, name: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{name}: {reason} ({detail})")


def around(provider: object) -> UntrustedProvider:
    return UntrustedProvider(provider, Failure, Failure)


async def read(provider: ScriptedProvider) -> list[Any]:
    untrusted, found = around(provider), []
    async with untrusted.failures(), untrusted.items(provider.play()) as items:
        while (item := await next_before(items, asyncio.get_running_loop().time() + 5)) is not END:
            found.append(item)
    return found


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("odd"), "stranger: unexpected (ValueError odd)"),
        (TimeoutError("its own"), "stranger: unexpected (TimeoutError its own)"),
        (
            StopAsyncIteration(),
            "stranger: unexpected (RuntimeError async generator raised StopAsyncIteration)",
        ),
        (asyncio.CancelledError(), "stranger: unexpected (cancelled within the provider)"),
        (Failure("stranger", "quota"), "stranger: quota ()"),
    ],
)
async def test_whatever_is_raised_is_one_typed_failure_and_its_own_words_pass(
    error: BaseException, said: str
) -> None:
    stranger = ScriptedProvider("piece", error)
    with pytest.raises(Failure) as failed:
        await read(stranger)
    assert (str(failed.value), stranger.closed) == (said, True)


async def test_what_comes_too_late_is_given_up_and_closed() -> None:
    late = ScriptedProvider("piece", 6.0)
    with pytest.raises(Failure, match=DeadlineReached.__name__):
        await read(late)
    assert late.closed
    assert await read(ScriptedProvider(4.0, "in time", 4.0)) == ["in time"]


async def test_being_told_to_stop_is_no_failure() -> None:
    stranger = ScriptedProvider(4.0)
    reading = asyncio.create_task(read(stranger))
    await asyncio.sleep(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stranger.closed


async def test_a_stream_that_cannot_be_closed_still_counts() -> None:
    class Stubborn:
        left = ["one"]

        def __aiter__(self) -> AsyncIterator[str]:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

        async def aclose(self) -> None:
            raise OSError("no")

    untrusted = around(ScriptedProvider())
    with capture_logs() as logs:
        async with untrusted.items(Stubborn()) as items:
            assert [item async for item in items] == ["one"]
    assert [(line["event"], line["provider"]) for line in logs] == [
        ("stream_not_closed", "stranger")
    ]


async def test_a_warm_up_that_hangs_ends_and_one_that_nobody_has_is_none() -> None:
    class Hangs:
        name = "hangs"

        async def warm(self) -> None:
            await asyncio.sleep(3600)

    with pytest.raises(Failure, match="hangs: connection .not warm after 30 s"):
        await around(Hangs()).warm("warm")
    await around(Hangs()).warm("try_out")
    with capture_logs() as logs:
        await around(Hangs()).aclose()
        await around(ScriptedProvider()).aclose()
    assert [(line["event"], line["provider"]) for line in logs] == [
        ("provider_not_closed", "stranger")
    ]


def test_names_are_short_and_never_empty() -> None:
    class Nameless:
        about = "x" * 1_000

        @property
        def name(self) -> str:
            raise LookupError

    class Wordy:
        name = "n" * 1_000
        about = 7

    assert (name_of(Nameless()), len(about(Nameless()))) == ("Nameless", MAX_ABOUT_CHARS)
    assert (len(name_of(Wordy())), about(Wordy())) == (MAX_NAME_CHARS, "")

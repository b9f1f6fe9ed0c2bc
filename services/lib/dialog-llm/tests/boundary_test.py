"""What a model may raise or send, and what becomes of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from dialog_llm.boundary import LlmBoundary
from dialog_llm.errors import AllProvidersFailed, ProviderError
from dialog_llm.fallback import FallbackLlm
from dialog_llm.provider import THINKING, Ended, GenerationOptions, Message, Thinking
from dialog_providers.testing.scripted_provider import ScriptedProvider

pytestmark = pytest.mark.looptime

ASKED = [Message("user", "hi")]


class Stranger(ScriptedProvider):
    def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Any, None]:
        return self.play()


async def pieces(provider: Any, **options: Any) -> list[Any]:
    return [
        piece async for piece in LlmBoundary(provider).stream(ASKED, GenerationOptions(**options))
    ]


async def failure(provider: Any, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await pieces(provider, **options)
    assert caught.value.provider == "stranger"
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        KeyError("choices"),
        RuntimeError("x"),
        UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates"),
        TimeoutError("its own"),
        StopAsyncIteration(),
        ExceptionGroup("several", [ValueError("one")]),
        asyncio.CancelledError("not asked for"),
        AssertionError(),
    ],
)
@pytest.mark.parametrize("before", [(), ("half ",)])
async def test_whatever_is_raised_is_the_providers_failure_by_name(
    error: BaseException, before: tuple[str, ...]
) -> None:
    failed = await failure(Stranger(*before, error))
    assert (failed.reason, failed.retryable) == ("unexpected", True)


async def test_before_the_first_word_the_next_one_answers_and_after_it_nobody_does() -> None:
    second = Stranger("second")
    chain = FallbackLlm([Stranger(ValueError("no")), second])
    with capture_logs() as logs:
        assert [piece async for piece in chain.stream(ASKED, GenerationOptions())] == ["second"]
    assert [(line["provider"], line["reason"]) for line in logs] == [("stranger", "unexpected")]
    assert "ValueError no" in logs[0]["detail"]
    broken = FallbackLlm([Stranger("half", ValueError("no")), second]).stream(
        ASKED, GenerationOptions()
    )
    assert await anext(broken) == "half"
    with pytest.raises(ProviderError, match="unexpected"):
        await anext(broken)


@pytest.mark.parametrize(
    "content",
    [5, 2.0, b"bytes", {"type": "image_url"}, object(), ["x", 3], [[[[[["deep"]]]]]], True],
)
async def test_what_is_no_text_is_refused_by_its_type(content: Any) -> None:
    script = [content] if not isinstance(content, float) else [[content]]
    assert (await failure(Stranger(*script))).reason == "bad_content"


async def test_content_as_a_list_of_parts_is_its_texts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Hello "},
        "you",
    ]
    assert await pieces(Stranger(parts)) == [THINKING, "Hello ", "you"]


async def test_halves_of_a_character_in_two_pieces_are_joined_and_one_alone_is_replaced() -> None:
    assert "".join(await pieces(Stranger("a\ud83d", "\ude00b", "\ud83d", "c"))) == "a😀b?c"
    assert "".join(await pieces(Stranger("a", "\ude00", "b\ud83d"))) == "a?b?"


@pytest.mark.parametrize(
    "script", [(), ("",), (" ", "\n\n"), ("<think>only this</think>", " "), (THINKING,)]
)
async def test_a_reply_without_a_word_is_empty(script: tuple[Any, ...]) -> None:
    assert (await failure(Stranger(*script))).reason == "empty"


async def test_white_space_in_front_of_a_reply_goes_and_within_it_stays() -> None:
    assert await pieces(Stranger("\n", "  Hello", " ", "you ")) == ["Hello", " ", "you "]


async def test_why_a_reply_ended_is_its_last_piece() -> None:
    assert await pieces(Stranger("Too", Ended("length"), " late")) == [
        "Too",
        " late",
        Ended("length"),
    ]
    assert (await failure(Stranger(Ended("content_filter")))).reason == "filtered"


async def test_a_provider_that_is_no_generator_is_understood() -> None:
    class Iterates(Stranger):
        def stream(
            self, messages: Sequence[Message], options: GenerationOptions
        ) -> AsyncGenerator[Any, None]:
            return self.iterated()  # type: ignore[return-value]

        def iterated(self) -> AsyncIterator[Any]:
            class Once:
                left = ["one", "two"]

                def __aiter__(self) -> "Once":
                    return self

                async def __anext__(self) -> str:
                    if not self.left:
                        raise StopAsyncIteration
                    return self.left.pop(0)

            return Once()

    class Returns(Stranger):
        async def stream(self, messages: Any, options: Any) -> Any:  # type: ignore[override]
            return super().stream(messages, options)

    class Raises(Stranger):
        def stream(self, messages: Any, options: Any) -> Any:
            raise AttributeError("at the call")

    assert await pieces(Iterates()) == ["one", "two"]
    assert await pieces(Returns("one")) == ["one"]
    assert (await failure(Raises())).reason == "unexpected"


async def test_one_that_hangs_is_given_up_and_closed() -> None:
    hung = Stranger("a", 3600.0)
    assert (await failure(hung, wall_clock_s=5)).reason == "wall_clock"
    assert hung.closed


async def test_thinking_before_the_first_word_takes_none_of_the_replys_time() -> None:
    thoughts: list[Any] = []
    for _ in range(7):
        thoughts += [THINKING, 9.0]
    found = await pieces(Stranger(*thoughts, "Now.", 50.0, " And more."), wall_clock_s=60)
    assert [piece for piece in found if not isinstance(piece, Thinking)] == ["Now.", " And more."]
    assert (await failure(Stranger(THINKING, 130.0, "late"), thinking_s=120)).reason == "wall_clock"


async def test_being_told_to_stop_is_no_failure() -> None:
    stranger = Stranger("a", 3600.0)
    reading = asyncio.create_task(pieces(stranger))
    await asyncio.sleep(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stranger.closed


async def test_warming_and_closing_may_raise_anything_too() -> None:
    stranger = Stranger("a")
    stranger.warms = ZeroDivisionError("in warm-up")
    with pytest.raises(ProviderError, match="stranger: unexpected"):
        await LlmBoundary(stranger).warm()
    with pytest.raises(AllProvidersFailed):
        await FallbackLlm([stranger]).warm()
    with capture_logs() as logs:
        await FallbackLlm([stranger]).aclose()
    assert [line["event"] for line in logs] == ["provider_not_closed"]


async def test_leaving_early_closes_what_is_inside() -> None:
    stranger = Stranger("a", "b")
    stream = LlmBoundary(stranger).stream(ASKED, GenerationOptions())
    assert await anext(stream) == "a"
    await stream.aclose()
    assert stranger.closed


async def test_a_model_whose_server_keeps_the_opening_tag_thinks_aloud_only_once() -> None:
    border = LlmBoundary(Stranger("hm", "</think>", "Hello"))
    replies = [
        [piece async for piece in border.stream(ASKED, GenerationOptions())] for _ in range(2)
    ]
    assert replies == [["hm", "Hello"], [THINKING, "Hello"]]


async def test_a_warm_up_that_hangs_ends_and_keeps_nobody_else_waiting() -> None:
    class Hangs(Stranger):
        async def warm(self) -> None:
            await asyncio.sleep(3600)

    with pytest.raises(ProviderError, match="not warm after 30 s"):
        await LlmBoundary(Hangs()).warm()

    class Quick(Stranger):
        async def warm(self) -> None: ...

    chain = FallbackLlm([Hangs(), Quick()])
    warming = asyncio.create_task(chain.warm())
    await asyncio.sleep(1)
    assert chain.any_warm
    await warming
    assert (chain.any_warm, chain.all_warm) == (True, False)


async def test_a_plug_in_needs_no_more_than_its_one_method() -> None:
    class Bare:
        async def stream(
            self, messages: Sequence[Message], options: GenerationOptions
        ) -> AsyncGenerator[str, None]:
            yield "Hello."

        def warm(self) -> None:
            """Not even a coroutine."""

    chain = FallbackLlm.from_providers(Bare())  # type: ignore[arg-type]
    await chain.warm()
    assert [piece async for piece in chain.stream(ASKED, GenerationOptions())] == ["Hello."]
    assert (chain.name, chain.in_use()) == ("Bare", ("Bare", {}))
    await chain.aclose()

"""The OpenAI-compatible provider against a server that speaks its protocol.

One file of more than 400 lines: each test is one behaviour of the same scripted server.
"""

import asyncio
import json
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from dialog_llm.boundary import LlmBoundary
from dialog_llm.errors import ProviderError
from dialog_llm.provider import THINKING, Ended, GenerationOptions, Message
from dialog_llm.providers.openai import OpenAiConfig, OpenAiProvider
from dialog_llm.testing.openai_server import Behaviour, OpenAiServer

_KEY = "sk-very-secret-0123456789"
_QUESTION = [Message("system", "Be brief."), Message("user", "Hello?")]


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with OpenAiServer() as server:
        yield server


@pytest.fixture
async def provider(server: OpenAiServer) -> AsyncIterator[OpenAiProvider]:
    config = OpenAiConfig(
        server.address, _KEY, "some-model", backoff_s=0.01, first_token_timeout_s=2.0
    )
    provider = OpenAiProvider(config, jitter=lambda: 0.5)
    yield provider
    await provider.aclose()


def _patient(provider: OpenAiProvider, first_token_timeout_s: float) -> OpenAiProvider:
    return OpenAiProvider(replace(provider._config, first_token_timeout_s=first_token_timeout_s))


async def _reply(provider: OpenAiProvider, options: GenerationOptions | None = None) -> list[Any]:
    return [piece async for piece in provider.stream(_QUESTION, options or GenerationOptions())]


async def _failure(
    provider: OpenAiProvider, options: GenerationOptions | None = None
) -> tuple[ProviderError, list[Any]]:
    pieces: list[Any] = []
    stream = provider.stream(_QUESTION, options or GenerationOptions())
    try:
        async for piece in stream:
            pieces.append(piece)
    except ProviderError as error:
        return error, pieces
    raise AssertionError("the stream did not fail")


async def test_a_reply_streams_word_by_word(server: OpenAiServer, provider: OpenAiProvider) -> None:
    server.script.append(Behaviour(text="Hello to you, friend."))
    assert await _reply(
        provider, GenerationOptions(max_tokens=7, temperature=0.1, stop=("END",))
    ) == [
        "Hello ",
        "to ",
        "you, ",
        "friend.",
    ]
    request = server.requests[0]
    assert request.authorization == f"Bearer {_KEY}"
    assert request.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
    ]
    assert {
        key: request.body[key] for key in ("model", "max_tokens", "temperature", "stop", "stream")
    } == {
        "model": "some-model",
        "max_tokens": 7,
        "temperature": 0.1,
        "stop": ["END"],
        "stream": True,
    }


async def test_newer_models_get_the_other_field_of_the_limit(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    newer = OpenAiProvider(replace(provider._config, max_tokens_field="max_completion_tokens"))
    await _reply(newer)
    await newer.aclose()
    assert server.requests[0].body["max_completion_tokens"] == 400
    assert "max_tokens" not in server.requests[0].body


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "", "unauthorized"),
        (403, "", "unauthorized"),
        (429, "insufficient_quota", "quota"),
        (400, "", "bad_request"),
        (404, "", "bad_request"),
    ],
)
async def test_what_cannot_get_better_is_not_tried_again(
    server: OpenAiServer, provider: OpenAiProvider, status: int, code: str, reason: str
) -> None:
    server.script.append(Behaviour("status", status=status, code=code))
    error, _ = await _failure(provider)
    assert error.reason == reason
    assert not error.retryable
    assert len(server.requests) == 1


async def test_a_server_error_is_tried_again(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    server.script += [Behaviour("status", status=500), Behaviour("empty"), Behaviour(words=2)]
    assert len(await _reply(provider)) == 2
    assert len(server.requests) == 3


async def test_tries_are_limited(server: OpenAiServer, provider: OpenAiProvider) -> None:
    server.script += [Behaviour("status", status=503)] * 5
    error, _ = await _failure(provider)
    assert error.reason == "server_error"
    assert len(server.requests) == 3


async def test_retry_after_is_honoured(server: OpenAiServer, provider: OpenAiProvider) -> None:
    server.script += [Behaviour("status", status=429, retry_after="0.25"), Behaviour(words=1)]
    began = time.monotonic()
    assert await _reply(provider)
    assert time.monotonic() - began >= 0.25


async def test_a_retry_after_beyond_the_deadline_fails_at_once(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    server.script.append(Behaviour("status", status=429, retry_after="30"))
    await provider.warm()
    began = time.monotonic()
    error, _ = await _failure(provider)
    assert time.monotonic() - began < 5
    assert (error.reason, error.retry_after_s, error.retryable) == ("rate_limited", 30.0, True)


@pytest.mark.parametrize("kind", ["cut", "unfinished", "error_event"])
async def test_a_stream_that_breaks_after_words_is_cut_and_not_tried_again(
    server: OpenAiServer, provider: OpenAiProvider, kind: str
) -> None:
    server.script.append(Behaviour(kind, words=3))  # type: ignore[arg-type]
    error, pieces = await _failure(provider)
    assert (error.reason, error.retryable, len(pieces)) == ("cut_stream", False, 3)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("kind", "reason"), [("empty", "empty"), ("unfinished", "empty"), ("garbage", "server_error")]
)
async def test_a_stream_without_words_is_tried_again(
    server: OpenAiServer, provider: OpenAiProvider, kind: str, reason: str
) -> None:
    server.script += [Behaviour(kind, words=0)] * 3  # type: ignore[arg-type]
    error, _ = await _failure(provider)
    assert error.reason == reason
    assert len(server.requests) == 3


async def test_a_slow_first_byte_is_given_up_and_its_connection_closed(
    server: OpenAiServer, provider: OpenAiProvider, later: Callable[[float], None]
) -> None:
    patient = _patient(provider, 15)
    server.script.append(Behaviour(first_token_s=3_600))
    failing = asyncio.create_task(_failure(patient))
    await server.received.wait()
    later(15)
    error, _ = await failing
    assert error.reason == "timeout_first_token"
    assert len(server.requests) == 1
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 1)
    await patient.aclose()


async def test_a_silence_between_words_is_limited(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    server.script.append(Behaviour("stall", words=2))
    error, pieces = await _failure(provider, GenerationOptions(idle_gap_s=0.1))
    assert (error.reason, len(pieces)) == ("idle_gap", 2)
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 1)


async def test_the_whole_reply_is_limited(server: OpenAiServer, provider: OpenAiProvider) -> None:
    await provider.warm()
    server.script.append(Behaviour(words=1000, per_word_s=0.02))
    error, pieces = await _failure(provider, GenerationOptions(wall_clock_s=0.2))
    assert error.reason == "wall_clock"
    assert 1 <= len(pieces) < 20


async def test_closing_the_stream_closes_the_connection_at_once(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    server.script.append(Behaviour("stall", words=1))
    async with aclosing(provider.stream(_QUESTION, GenerationOptions())) as pieces:
        assert await anext(pieces)
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


@pytest.mark.parametrize("behaviour", [Behaviour("stall", words=1), Behaviour(first_token_s=5)])
async def test_cancelling_the_task_closes_the_connection_at_once(
    server: OpenAiServer, provider: OpenAiProvider, behaviour: Behaviour
) -> None:
    await provider.warm()
    server.script.append(behaviour)
    task = asyncio.create_task(_reply(provider))
    await asyncio.wait_for(server.received.wait(), 2)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.requests[0].disconnected.wait(), 2)


async def test_a_server_that_is_not_there_is_a_connection_failure() -> None:
    provider = OpenAiProvider(OpenAiConfig("http://127.0.0.1:9/v1", _KEY, "m", backoff_s=0.001))
    error, _ = await _failure(provider)
    assert error.reason == "connection"
    with pytest.raises(ProviderError):
        await provider.warm()
    await provider.aclose()


async def test_the_key_is_in_no_text(server: OpenAiServer, provider: OpenAiProvider) -> None:
    server.script.append(
        Behaviour("status", status=401, message=f"Incorrect API key provided: {_KEY} " + "x" * 400)
    )
    error, _ = await _failure(provider)
    assert "***" in str(error)
    assert len(error.detail) <= 200
    assert _KEY not in "".join(traceback.format_exception(error))
    assert _KEY not in repr(provider._config)


async def test_one_connection_serves_turn_after_turn(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    for _ in range(3):
        await _reply(provider)
    assert all(request.finished for request in server.requests)
    assert len({request.peer for request in server.requests}) == 1


async def test_sessions_do_not_wait_for_each_other(
    server: OpenAiServer, provider: OpenAiProvider, later: Callable[[float], None]
) -> None:
    server.script += [Behaviour(words=3, first_token_s=20)] * 5
    patient = _patient(provider, 30)
    async with asyncio.timeout(10):
        replying = [asyncio.create_task(_reply(patient)) for _ in range(5)]
        while len(server.requests) < 5:
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in replying)
    later(20)
    assert [len(reply) for reply in await asyncio.gather(*replying)] == [3] * 5
    await patient.aclose()


def _chunk(content: Any = "", reason: Any = None, index: int = 0, **delta: Any) -> str:
    choice = {"index": index, "delta": {"content": content, **delta}, "finish_reason": reason}
    return "data: " + json.dumps(
        {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
    )


_DONE = "data: [DONE]"


async def _said(
    server: OpenAiServer, provider: OpenAiProvider, *raw: str | float, **options: Any
) -> list[Any]:
    server.script.append(Behaviour(raw=raw))
    return [
        piece
        async for piece in LlmBoundary(provider).stream(_QUESTION, GenerationOptions(**options))
    ]


@pytest.mark.parametrize("reason", ["", "null", "None", None, "stop", "eos"])
async def test_a_reason_on_every_chunk_ends_nothing(
    server: OpenAiServer, provider: OpenAiProvider, reason: str | None
) -> None:
    chunks = (_chunk("One ", reason), 0.7, _chunk("two ", reason), _chunk("three", reason), _DONE)
    assert await _said(server, provider, *chunks) == ["One ", "two ", "three"]


async def test_a_real_reason_ends_the_reply_though_the_connection_stays_open(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    began = time.monotonic()
    assert await _said(server, provider, _chunk("Hello", ""), _chunk("", "stop"), 5.0) == ["Hello"]
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("reason", "told"),
    [("length", "length"), ("MAX_TOKENS", "length"), ("content_filter", "content_filter")],
)
async def test_a_reply_that_was_cut_says_so(
    server: OpenAiServer, provider: OpenAiProvider, reason: str, told: Any
) -> None:
    assert await _said(server, provider, _chunk("Long"), _chunk("", reason), _DONE) == [
        "Long",
        Ended(told),
    ]


async def test_done_without_a_reason_is_a_complete_reply_and_an_end_without_both_is_not(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    assert await _said(server, provider, _chunk("Hello"), _DONE) == ["Hello"]
    with pytest.raises(ProviderError, match="cut_stream"):
        await _said(server, provider, _chunk("Hello"))
    with pytest.raises(ProviderError, match="cut_stream"):
        await _said(
            server, provider, _chunk("Hello"), _chunk("", "insufficient_system_resource"), _DONE
        )


async def test_of_several_choices_one_is_read(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    chunks = (
        _chunk("My "),
        _chunk("Your ", index=1),
        _chunk("", "stop", index=1),
        _chunk("answer"),
        _chunk("", "stop"),
        _DONE,
    )
    assert await _said(server, provider, *chunks) == ["My ", "answer"]


@pytest.mark.parametrize("text", [" ", "\n\n", "<think></think> "])
async def test_white_space_alone_is_no_reply(
    server: OpenAiServer, provider: OpenAiProvider, text: str
) -> None:
    for _ in range(2):
        server.script.append(Behaviour(raw=(_chunk(text), _chunk("", "stop"), _DONE)))
    with pytest.raises(ProviderError, match="empty"):
        await _said(server, provider, _chunk(text), _chunk("", "stop"), _DONE)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_details"])
async def test_thoughts_in_a_field_of_their_own_are_not_said(
    server: OpenAiServer, provider: OpenAiProvider, name: str
) -> None:
    thought: dict[str, Any] = {
        name: [{"text": "secret"}] if name == "reasoning_details" else "secret"
    }
    found = await _said(
        server, provider, _chunk(None, **thought), _chunk(None, **thought), _chunk("Hello"), _DONE
    )
    assert [piece for piece in found if isinstance(piece, str)] == ["Hello"]
    assert found[0] is THINKING


@pytest.mark.parametrize("thought", [_chunk(None, reasoning_content="hm"), _chunk("<think>hm")])
async def test_a_model_that_thinks_longer_than_a_first_token_may_take_is_waited_for(
    server: OpenAiServer, provider: OpenAiProvider, thought: str
) -> None:
    quick = OpenAiProvider(replace(provider._config, first_token_timeout_s=0.6))
    await quick.warm()
    raw = (
        thought,
        0.5,
        _chunk("hm" if "think" in thought else None, reasoning="hm"),
        0.5,
        _chunk("</think>Hello"),
        _DONE,
    )
    found = await _said(server, quick, *raw, wall_clock_s=0.8, idle_gap_s=5)
    await quick.aclose()
    assert [piece for piece in found if isinstance(piece, str)] == ["Hello"]


async def test_thoughts_that_take_all_tokens_say_so(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    for _ in range(2):
        server.script.append(Behaviour(raw=(_chunk("<think>hm"), _chunk("", "length"), _DONE)))
    with pytest.raises(ProviderError, match="took all of max_tokens"):
        await _said(server, provider, _chunk("<think>hm"), _chunk("", "length"), _DONE)


async def test_content_as_parts_and_halves_of_characters_are_understood(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi "}]
    found = await _said(server, provider, _chunk(parts), _chunk("\ud83d"), _chunk("\ude00"), _DONE)
    assert "".join(piece for piece in found if isinstance(piece, str)) == "Hi 😀"


async def test_content_that_is_no_text_is_refused_by_its_type(
    server: OpenAiServer, provider: OpenAiProvider
) -> None:
    with pytest.raises(ProviderError, match="type int"):
        await _said(server, provider, _chunk(5), _DONE)


@pytest.mark.parametrize(
    "last", [_DONE, "data: [DONE]\n", "data:[DONE]", "event: done\ndata: [DONE]"]
)
async def test_done_is_seen_however_it_is_written(
    server: OpenAiServer, provider: OpenAiProvider, last: str
) -> None:
    assert await _said(server, provider, ": a comment", "id: 4\n" + _chunk("Hello"), last) == [
        "Hello"
    ]

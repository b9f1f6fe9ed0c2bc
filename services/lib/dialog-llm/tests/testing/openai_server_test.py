import asyncio
import sys

import pytest

from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.providers.openai import OpenAiConfig, OpenAiProvider
from dialog_llm.testing.openai_server import Behaviour, behaviour_of


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-5", Behaviour(words=5)),
        ("mock-ok?words=30&first_token_s=0.1", Behaviour(words=30, first_token_s=0.1)),
        ("mock-429?retry_after=1", Behaviour("status", words=5, status=429, retry_after="1")),
        ("mock-cut", Behaviour("cut", words=5)),
    ],
)
def test_a_model_name_tells_the_behaviour(model: str, expected: Behaviour) -> None:
    assert behaviour_of(model, Behaviour(words=5)) == expected


async def test_it_runs_as_a_program_and_answers_chinese_with_chinese() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dialog_llm.testing.openai_server",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    provider = OpenAiProvider(OpenAiConfig(base_url, "key", "mock-ok?words=4"))
    pieces = [
        piece async for piece in provider.stream([Message("user", "你好")], GenerationOptions())
    ]
    assert pieces == ["我是", "一个", "小小", "的模"]
    await provider.aclose()
    process.terminate()
    await process.wait()

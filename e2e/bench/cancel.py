"""How long a provider takes to let go.

From closing it in the middle of a fragment to its connection closed.
"""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.providers.openai import OpenAiConfig, OpenAiProvider
from dialog_llm.testing import openai_server
from dialog_voice.providers.edge.voice import EdgeConfig, EdgeVoice
from dialog_voice.providers.espeak.voice import EspeakVoice
from dialog_voice.providers.openai.voice import OpenAiSpeechConfig, OpenAiSpeechVoice
from dialog_voice.testing import edge_server, openai_speech_server
from dialog_voice.voice import Voice
from e2e.bench import figures

TIMES = 40
TEXT = "one two three four five six seven eight nine ten eleven twelve"


async def cancelled(data: Path) -> dict[str, float]:
    """espeak, Edge's and OpenAI's voices and OpenAI's model (servers that speak their protocols), each left after its first piece."""
    found: dict[str, float] = {}
    espeak = EspeakVoice()
    await espeak.warm()
    found |= figures.named("cancel_espeak", [await _leave(espeak) for _ in range(TIMES)])
    await espeak.aclose()
    async with edge_server.EdgeServer(default=edge_server.Behaviour("stall", words=1)) as edges:
        edge = EdgeVoice(EdgeConfig(endpoint=edges.address))
        found |= figures.named("cancel_edge", [await _leave(edge) for _ in range(TIMES)])
        await _gone(edges.requests)
        await edge.aclose()
    async with openai_speech_server.OpenAiSpeechServer(
        default=openai_speech_server.Behaviour("stall")
    ) as speeches:
        speech = OpenAiSpeechVoice(OpenAiSpeechConfig(speeches.address, "key", "tts-1"))
        found |= figures.named("cancel_openai_voice", [await _leave(speech) for _ in range(TIMES)])
        await _gone(speeches.requests)
        await speech.aclose()
    async with openai_server.OpenAiServer(
        default=openai_server.Behaviour(words=50, per_word_s=0.05)
    ) as models:
        model = OpenAiProvider(OpenAiConfig(models.address, "key", "gpt"))
        found |= figures.named(
            "cancel_openai_model", [await _leave_model(model) for _ in range(TIMES)]
        )
        await _gone(models.requests)
        await model.aclose()
    return found


async def _leave(voice: Voice) -> float:
    async with aclosing(voice.synthesize(TEXT, "en")) as pieces:
        await anext(pieces)
        began = time.perf_counter()
    return (time.perf_counter() - began) * 1000


async def _leave_model(model: OpenAiProvider) -> float:
    async with aclosing(model.stream([Message("user", "hi")], GenerationOptions())) as pieces:
        await anext(pieces)
        began = time.perf_counter()
    return (time.perf_counter() - began) * 1000


async def _gone(
    requests: "list[edge_server.Request] | list[openai_speech_server.Request] | list[openai_server.Request]",
) -> None:
    """Nothing more is sent, nor paid."""
    async with asyncio.timeout(2):
        for request in requests:
            await request.disconnected.wait()

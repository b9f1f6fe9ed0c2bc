"""The whole engine: ready once a model and a voice have answered, and it says why until then."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_engine.app import build
from dialog_engine.settings import EngineSettings
from dialog_providers import warming
from dialog_voice import factory
from dialog_voice.errors import ProviderError
from dialog_voice.testing.openai_speech_server import OpenAiSpeechServer
from dialog_voice.voice import VoiceAudio
from service_runtime.testing.local_server import serving

Get = Callable[[int, str], Awaitable[tuple[int, Any]]]


class Voice:
    """Away until it is `here`."""

    name = "edge"

    def __init__(self) -> None:
        self.here = False

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        yield VoiceAudio(b"\0\0")

    async def warm(self) -> None:
        if not self.here:
            raise ProviderError("edge", "connection", "no such host")

    async def aclose(self) -> None: ...


@pytest.fixture
def settings(tmp_path: Path, no_url: str, monkeypatch: pytest.MonkeyPatch) -> EngineSettings:
    monkeypatch.setattr(warming, "PAUSE_S", 0.02)
    return EngineSettings(
        dialog_engine_db=tmp_path / "engine.db",
        redis_url=no_url,
        llm_chain=("rules",),
        output_ingest_urls=(),
    )


async def until(get: Get, port: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            _, state = await get(port, "/readyz")
            if wanted(state):
                assert isinstance(state, dict)
                return state
            await asyncio.sleep(0.01)


async def test_a_voice_that_is_away_is_named_and_ready_when_it_answers(
    settings: EngineSettings, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = Voice()
    monkeypatch.setattr(factory, "build_default", lambda _: voice)
    async with serving(build(settings)) as port:
        away = await until(
            get, port, lambda state: any("edge" in reason for reason in state["reasons"])
        )
        assert away["reasons"][0] == "voice: no voice could speak (edge: connection)"
        assert away["details"]["voices"]["whyNot"] == {"edge": "edge: connection (no such host)"}
        assert away["details"]["models"]["inUse"] == "rules"
        voice.here = True
        back = await until(
            get, port, lambda state: not any("voice" in reason for reason in state["reasons"])
        )
        assert (back["details"]["voices"]["inUse"], back["details"]["voices"]["whyNot"]) == (
            "edge",
            {},
        )


async def test_warming_asks_a_paid_voice_for_no_sound(settings: EngineSettings, get: Get) -> None:
    async with OpenAiSpeechServer() as server:
        paid = settings.model_copy(
            update={"openai_base_url": server.address, "voice_chain": ("openai",)}
        )
        async with serving(build(paid)) as port:
            await until(
                get, port, lambda state: state["details"]["voices"].get("inUse") == "openai"
            )
        assert server.requests == []

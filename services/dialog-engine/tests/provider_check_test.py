import asyncio
import json
import sys
from pathlib import Path

import pytest

from dialog_engine import provider_check
from dialog_engine.provider_check import ProviderCheck
from dialog_engine.settings import EngineSettings
from dialog_llm.testing.openai_server import Behaviour, OpenAiServer
from dialog_voice import factory as voices
from dialog_voice.providers.edge.voice import EdgeConfig, EdgeVoice
from dialog_voice.testing.openai_speech_server import OpenAiSpeechServer


async def trials(**values: object) -> dict[str, ProviderCheck]:
    settings = EngineSettings.model_validate(
        {"openai_api_key": None, "openai_base_url": None, **values}
    )
    return {f"{one.kind} {one.name}": one async for one in provider_check.check_all(settings)}


@pytest.fixture(autouse=True)
def no_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its service is not asked by tests."""
    monkeypatch.setattr(
        voices, "_edge", lambda *_: EdgeVoice(EdgeConfig(endpoint="ws://127.0.0.1:9/edge?x=1"))
    )


async def test_each_configured_model_and_voice_says_a_sentence_and_its_times() -> None:
    async with OpenAiServer(default=Behaviour(text="Hello there.", first_token_s=0.05)) as server:
        found = await trials(
            openai_base_url=server.address, llm_chain="openai, rules", voice_chain="espeak"
        )
    assert list(found) == ["model openai", "model rules", "voice espeak", "voice edge"]
    model, voice, edge = found["model openai"], found["voice espeak"], found["voice edge"]
    assert (model.said, model.problem) == ("Hello there.", None)
    assert model.about == f"gpt-4o-mini at {server.address.partition('//')[2].partition('/')[0]}"
    assert model.first_ms is not None
    assert model.total_ms is not None
    assert 50 <= model.first_ms <= model.total_ms
    assert (voice.problem, voice.audio_ms is not None and voice.audio_ms > 1000) == (None, True)
    assert (edge.configured, str(edge.problem).partition(" (")[0]) == (False, "edge: connection")


async def test_what_is_not_set_up_or_does_not_answer_says_why() -> None:
    found = await trials(llm_chain="openai, no.such:thing", voice_chain="edge")
    assert found["model openai"].problem == "not set up: OPENAI_API_KEY or OPENAI_BASE_URL"
    assert "cannot be loaded" in str(found["model no.such:thing"].problem)
    async with OpenAiServer(default=Behaviour("status", status=401)) as server:
        refused = (
            await trials(openai_base_url=server.address, llm_chain="openai", voice_chain="edge")
        )["model openai"]
    assert "unauthorized" in str(refused.problem)


async def test_openais_voice_is_tried_with_the_users_key() -> None:
    async with OpenAiSpeechServer() as server:
        found = await trials(
            openai_api_key="sk-own",
            openai_base_url=server.address,
            llm_chain="rules",
            voice_chain="edge",
        )
        assert (found["voice openai"].configured, found["voice openai"].problem) == (False, None)
        assert server.requests[0].authorization == "Bearer sk-own"


async def test_the_program_prints_one_line_of_json_for_each(tmp_path: Path) -> None:
    env = {"LLM_CHAIN": "rules", "VOICE_CHAIN": "edge", "PROVIDER_PROXY": "http://127.0.0.1:9"}
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dialog_engine.provider_check",
        env=env,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await program.communicate()
    assert program.returncode == 0
    told = [json.loads(line) for line in out.decode().splitlines()]
    assert [(line["kind"], line["name"]) for line in told] == [
        ("model", "rules"),
        ("voice", "edge"),
    ]


def test_a_wrong_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", "many")
    with pytest.raises(SystemExit) as ended:
        provider_check.main()
    assert ended.value.code == provider_check.WRONG_SETTINGS
    assert capsys.readouterr().err.startswith("LLM_MAX_TOKENS: ")

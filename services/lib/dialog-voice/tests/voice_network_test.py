"""How a voice is reached: by a proxy or without, and where a session's address may lead."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from dialog_contracts.session_document import SessionVoice
from dialog_providers.testing.proxy import Proxy
from dialog_providers.testing.vendor_server import VendorServer
from dialog_voice import factory
from dialog_voice.errors import ProviderError
from dialog_voice.factory import VoiceDependencies
from dialog_voice.providers.edge.voice import EdgeConfig, EdgeVoice
from dialog_voice.settings import VoiceSettings
from dialog_voice.testing.edge_server import EdgeServer
from dialog_voice.testing.openai_speech_server import OpenAiSpeechServer
from dialog_voice.voice import Voice


@pytest.fixture
async def server() -> AsyncIterator[OpenAiSpeechServer]:
    async with OpenAiSpeechServer() as server:
        yield server


def voice(base_url: str | None = None, **values: object) -> Voice:
    settings = VoiceSettings.model_validate(
        {"openai_api_key": "sk-own", "openai_base_url": None, "no_proxy": "", **values}
    )
    return factory.build_for_session(
        SessionVoice(provider="openai", base_url=base_url),
        VoiceDependencies(settings),
        "sk-session",
    )


async def heard(voice: Voice) -> bytes:
    try:
        return b"".join([piece.pcm async for piece in voice.synthesize("Hello.", "en")])
    finally:
        await voice.aclose()


async def test_a_session_reaches_this_machine_by_the_setting_only(
    server: OpenAiSpeechServer,
) -> None:
    for speak in (heard, lambda made: made.warm()):
        with pytest.raises(ProviderError, match="address_refused .*SESSION_EGRESS_ALLOW=loopback"):
            await speak(voice(server.address))
    assert server.requests == []
    assert await heard(voice(server.address, session_egress_allow="127.0.0.0/8"))


async def test_a_redirect_is_not_followed(server: OpenAiSpeechServer) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"{server.address}/audio/speech")

    async with VendorServer(
        [web.post("/v1/audio/speech", elsewhere)], "http://{host}:{port}/v1"
    ) as first:
        with pytest.raises(ProviderError, match="bad_request .*redirected to"):
            await heard(voice(first.address, session_egress_allow="loopback"))
    assert server.requests == []


async def test_a_voice_behind_a_proxy_is_reached_by_it_and_a_near_one_is_not(
    server: OpenAiSpeechServer,
) -> None:
    place = urlsplit(server.address)
    async with Proxy(elsewhere=(place.hostname or "", place.port or 0)) as proxy:
        assert await heard(
            voice(openai_base_url="http://voice.example/v1", http_proxy=proxy.address)
        )
        assert proxy.asked == ["POST http://voice.example/v1/audio/speech"]
        assert await heard(voice(openai_base_url=server.address, http_proxy=proxy.address))
        assert len(proxy.asked) == 1


async def test_edge_is_reached_by_the_proxy_it_is_given_and_not_by_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with EdgeServer() as server, Proxy() as proxy, Proxy() as another:
        for name in ("http_proxy", "HTTP_PROXY", "ws_proxy", "all_proxy"):
            monkeypatch.setenv(name, another.address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert await heard(EdgeVoice(EdgeConfig(endpoint=server.address)))
        assert await heard(EdgeVoice(EdgeConfig(endpoint=server.address, proxy=proxy.address)))
        assert (len(proxy.asked), another.asked) == (1, [])

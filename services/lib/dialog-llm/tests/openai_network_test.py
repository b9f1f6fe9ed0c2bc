"""How a model is reached.

By a proxy or without, where a session's address may lead, and where a key never goes.
"""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from dialog_contracts.session_document import SessionLlm
from dialog_llm import factory
from dialog_llm.errors import ProviderError
from dialog_llm.provider import GenerationOptions, LlmProvider, Message
from dialog_llm.settings import LlmSettings
from dialog_llm.testing.openai_server import OpenAiServer
from dialog_providers.testing.proxy import Proxy
from dialog_providers.testing.vendor_server import VendorServer


@pytest.fixture
async def server() -> AsyncIterator[OpenAiServer]:
    async with OpenAiServer() as server:
        yield server


def settings(**values: object) -> LlmSettings:
    return LlmSettings.model_validate(
        {"openai_api_key": "sk-own", "openai_base_url": None, "no_proxy": "", **values}
    )


async def asked(provider: LlmProvider) -> str:
    try:
        return "".join(
            [
                str(piece)
                async for piece in provider.stream([Message("user", "hi")], GenerationOptions())
            ]
        )
    finally:
        await provider.aclose()


def place(server: OpenAiServer) -> tuple[str, int]:
    parts = urlsplit(server.address)
    return parts.hostname or "", parts.port or 0


async def test_a_session_reaches_this_machine_by_the_setting_only(server: OpenAiServer) -> None:
    wanted = SessionLlm(base_url=server.address.replace("127.0.0.1", "localhost"))
    with pytest.raises(
        ProviderError, match="address_refused .*localhost.*SESSION_EGRESS_ALLOW=loopback"
    ):
        await asked(factory.build_for_session(wanted, settings(), "sk-session"))
    with pytest.raises(ProviderError, match="address_refused"):
        await factory.build_for_session(wanted, settings(), "sk-session").warm()
    assert server.requests == []
    assert await asked(
        factory.build_for_session(wanted, settings(session_egress_allow="loopback"), "sk-session")
    )
    assert await asked(
        factory.build_for_session(wanted, settings(openai_base_url=wanted.base_url), None)
    ), "the owner's own address"


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "127.0.0.1."])
async def test_nor_in_any_other_spelling(server: OpenAiServer, host: str) -> None:
    wanted = SessionLlm(base_url=server.address.replace("127.0.0.1", host))
    with pytest.raises(ProviderError) as caught:
        await asked(factory.build_for_session(wanted, settings(), "sk-session"))
    assert caught.value.reason in ("address_refused", "connection")
    assert server.requests == []


@pytest.mark.parametrize("of_session", [True, False])
async def test_a_redirect_is_not_followed(server: OpenAiServer, of_session: bool) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"{server.address}/chat/completions")

    async with VendorServer(
        [web.post("/v1/chat/completions", elsewhere)], "http://{host}:{port}/v1"
    ) as first:
        if of_session:
            provider = factory.build_for_session(
                SessionLlm(base_url=first.address),
                settings(session_egress_allow="loopback"),
                "sk-x",
            )
        else:
            provider = factory.build_for_session(
                SessionLlm(), settings(openai_base_url=first.address), None
            )
        with pytest.raises(ProviderError, match="redirected to 127.0.0.1:") as caught:
            await asked(provider)
    assert caught.value.reason == "bad_request"
    assert server.requests == []


async def test_a_model_behind_a_proxy_is_reached_by_it(server: OpenAiServer) -> None:
    async with Proxy(elsewhere=place(server)) as proxy:
        own = settings(openai_base_url="http://model.example/v1", http_proxy=proxy.address)
        assert await asked(factory.build_for_session(SessionLlm(), own, None))
        chosen = settings(
            openai_base_url="http://model.example/v1",
            provider_proxy=proxy.address,
            no_proxy="other.example",
        )
        assert await asked(factory.build_for_session(SessionLlm(), chosen, None))
        assert proxy.asked == ["POST http://model.example/v1/chat/completions"] * 2


async def test_one_on_this_machine_is_reached_without_whatever_the_environment_says(
    server: OpenAiServer,
) -> None:
    async with Proxy() as proxy:
        own = settings(
            openai_base_url=server.address,
            http_proxy=proxy.address,
            all_proxy=proxy.address,
            provider_proxy=proxy.address,
        )
        assert await asked(factory.build_for_session(SessionLlm(), own, None))
        assert proxy.asked == []


async def test_a_session_reaches_nothing_near_by_a_proxy_either(server: OpenAiServer) -> None:
    async with Proxy(elsewhere=place(server)) as proxy:
        through = settings(http_proxy=proxy.address)
        for address in ("http://10.1.2.3/v1", "http://169.254.169.254/v1", "http://[fe80::1]/v1"):
            with pytest.raises(ProviderError, match="address_refused"):
                await asked(
                    factory.build_for_session(SessionLlm(base_url=address), through, "sk-session")
                )
        assert proxy.asked == []
        assert await asked(
            factory.build_for_session(
                SessionLlm(base_url="http://93.184.216.34/v1"), through, "sk-session"
            )
        )
        assert len(proxy.asked) == 1

import socket
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from service_runtime.http.errors import Refused
from service_runtime.http.hosts import AllowedHosts, HostGuard, HostRefused, OriginRefused

OWN = socket.gethostname()
HOSTS = AllowedHosts(["Live.Example.org", "*.show.example"], ["https://vtuber.example"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "10.1.2.3:80", "[::1]:8000", "[fe80::1%eth0]", "localhost", "LOCALHOST:8000", "localhost."]
    + ["a.localhost", OWN, f"{OWN}:8000", OWN.upper(), f"{OWN.partition('.')[0]}.local"]
    + ["live.example.org", "live.example.org.:443", "one.show.example", "a.b.show.example:80"],
)  # fmt: skip
def test_addresses_this_machine_and_listed_names_are_always_ours(host: str) -> None:
    HOSTS.check(host, None)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5", "show.example", "xshow.example"]
    + ["live.example.org.evil.example", "vtuber", "vtuber.svc", "0x7f000001.evil.example", "127.1", "", ":8000", "[::1", "x" * 9_000]
    + ["localhost:x@evil.example", "localhost@evil.example", "localhost:80/evil.example", "[::1].evil.example", "[localhost]"]
    + ["127.0.0.1%evil.example", "localhost, evil.example", "localhost:80:80", "localhost:-1", "[::1]x", "a b"],
)  # fmt: skip
def test_every_other_name_is_refused_and_the_refusal_says_which_setting_adds_it(host: str) -> None:
    with pytest.raises(HostRefused) as refused:
        HOSTS.check(host, None)
    assert refused.value.status == 403
    assert (
        "gateway.allowedHosts" in refused.value.body.message
        or "Host header" in refused.value.body.message
    )
    assert len(refused.value.body.message) < 250


@pytest.mark.parametrize(
    "host",
    ["vtuber-asr:8101", "vtuber-input-handler.live.svc", "x.y.svc.cluster.local:80", "localhost"],
)
def test_services_behind_the_gateway_answer_to_names_of_this_network(host: str) -> None:
    AllowedHosts(inside=True).check(host, None)
    with pytest.raises(HostRefused):
        AllowedHosts(inside=True).check("evil.example", None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8000"),
        ("https://vtuber.example", "localhost:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("https://Live.Example.org", "live.example.org"),
        ("http://localhost:8000", "LOCALHOST:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
    ],
)
def test_our_own_page_listed_origins_and_clients_without_one_may_call(
    origin: str | None, host: str | None
) -> None:
    HOSTS.check(host, origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://vtuber.example",
        "https://vtuber.example.evil.example",
        "https://evil-vtuber.example",
        "https://vtuber.example:444",
        "https://VTUBER.example",
        "https://vtuber.example/",
        "https://vtuber.example, https://vtuber.example",
        "http://localhost:8001",
        "http://localhost",
        "http://127.0.0.1:8000",
        "http://user@localhost:8000",
        "http://localhost:8000.evil.example",
        "file://localhost:8000",
        "localhost:8000",
        "http://[::1",
        "http://" + "x" * 10_000,
    ],
)
def test_every_other_origin_is_refused_in_few_words(origin: str) -> None:
    with pytest.raises(OriginRefused) as refused:
        HOSTS.check("localhost:8000", origin)
    assert (refused.value.status, refused.value.body.code, refused.value.body.field) == (
        403,
        "origin_refused",
        "Origin",
    )
    assert "ALLOWED_ORIGINS" in refused.value.body.message
    assert len(refused.value.body.message) < 200


async def asked(kind: str, headers: list[tuple[bytes, bytes]]) -> Any:
    """The status that a request, or a handshake, is answered with."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": kind, "headers": headers, "method": "GET", "path": "/"}
    await HostGuard(PlainTextResponse("inside"), HOSTS)(scope, receive, send)
    assert sent[0]["type"] == (
        "http.response.start" if kind == "http" else "websocket.http.response.start"
    )
    return sent[0]["status"]


@pytest.mark.parametrize(
    "headers",
    [[], [(b"host", b"evil.example")], [(b"host", b"localhost"), (b"host", b"localhost")], [(b"host", b"localhost"), (b"origin", b"null")]],
)  # fmt: skip
async def test_requests_and_sockets_are_refused_before_they_get_in(
    headers: list[tuple[bytes, bytes]],
) -> None:
    assert await asked("http", headers) == 403
    assert await asked("websocket", headers) == 403
    assert await asked("http", [(b"host", b"localhost:1")]) == 200


def test_a_refusal_is_one_of_ours() -> None:
    assert issubclass(HostRefused, Refused)

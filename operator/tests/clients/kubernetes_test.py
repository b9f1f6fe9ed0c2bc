"""What an answer of the API server means.

Typed errors, no body in any of them, and credentials read anew.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from vtuber_operator.clients import kubernetes
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import (
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    Refused,
    TooMany,
    Unreachable,
)

CANARY = "c2stY2FuYXJ5"


@dataclass
class Scripted:
    """A server that answers one after another what it was told, and then `{}`."""

    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    is_silent: bool = False

    def then(self, status: int, text: str = "", **headers: str) -> None:
        self.answers.append((status, text, headers))

    def refuse(self, status: int, message: str) -> None:
        self.then(status, json.dumps({"kind": "Status", "code": status, "message": message}))

    async def _answer(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("authorization", ""))
        self.bodies.append(await request.text())
        if self.is_silent:
            await self.silent.wait()
        status, text, headers = self.answers.pop(0) if self.answers else (200, "{}", {})
        return web.Response(
            status=status,
            text=text,
            headers={name.replace("_", "-"): each for name, each in headers.items()},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.silent.set()
            await runner.cleanup()


def let_in(path: Path, server: str, token: str) -> None:
    user, cluster = (
        {"name": "me", "user": {"token": token}},
        {"name": "here", "cluster": {"server": server}},
    )
    context = {"name": "now", "context": {"cluster": "here", "user": "me"}}
    config = {
        "apiVersion": "v1",
        "current-context": "now",
        "contexts": [context],
        "clusters": [cluster],
        "users": [user],
    }
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
async def server(kubeconfig: Path) -> AsyncIterator[Scripted]:
    scripted = Scripted()
    async with scripted.running() as url:
        let_in(kubeconfig, url, "first")
        yield scripted


@pytest.fixture
async def api(server: Scripted) -> AsyncIterator[ClusterApi]:
    made = ClusterApi(5)
    yield made
    await made.aclose()


async def failure(api: ClusterApi) -> ClusterError:
    with pytest.raises(ClusterError) as raised:
        await api.apply_secret("vt", "keys", {"file": CANARY})
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, Refused, False),
        (403, Forbidden, True),
        (404, NotFound, False),
        (409, Conflict, True),
        (410, Expired, True),
        (422, Refused, False),
        (429, TooMany, True),
        (500, Unreachable, True),
        (503, Unreachable, True),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind_with_the_servers_sentence(
    server: Scripted, api: ClusterApi, status: int, kind: type[ClusterError], retryable: bool
) -> None:
    server.refuse(status, "because " + "x" * 1_000)
    error = await failure(api)
    assert type(error) is kind
    assert error.retryable is retryable
    assert str(error).startswith(f"secret ({status}): because x")
    assert len(str(error)) < 350


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "404 page not found\n", NotFound),
        (429, "Too many requests, please try again later.", TooMany),
        (403, "<html>forbidden</html>", Forbidden),
        (502, "<html>bad gateway</html>", Unreachable),
        (409, "", Conflict),
        (410, "[1]", Expired),
    ],
)
async def test_a_refusal_that_is_no_json_is_of_its_kind_all_the_same(
    server: Scripted, api: ClusterApi, status: int, text: str, kind: type[ClusterError]
) -> None:
    server.then(status, text)
    error = await failure(api)
    assert type(error) is kind
    assert "html" not in str(error)


async def test_the_server_says_when_to_come_again(server: Scripted, api: ClusterApi) -> None:
    server.then(429, "Too many requests, please try again later.", Retry_After="7")
    assert (await failure(api)).retry_after_s == 7.0
    server.then(429, "{}", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")
    assert (await failure(api)).retry_after_s is None


async def test_an_answer_that_is_no_json_is_no_answer(server: Scripted, api: ClusterApi) -> None:
    server.then(200, '{"items": [')
    with pytest.raises(Unreachable):
        await api.list_all("/api/v1/pods")


async def test_a_server_that_does_not_answer_is_given_up(server: Scripted, api: ClusterApi) -> None:
    server.is_silent = True
    hasty = ClusterApi(0.1)
    try:
        error = await failure(hasty)
    finally:
        await hasty.aclose()
    assert type(error) is Unreachable
    assert "Timeout" in str(error)


async def test_a_server_that_is_not_there_is_unreachable(kubeconfig: Path) -> None:
    let_in(kubeconfig, "http://127.0.0.1:9", "first")
    nobody = ClusterApi(5)
    assert type(await failure(nobody)) is Unreachable
    await nobody.aclose()


async def test_a_secrets_value_is_in_no_error(server: Scripted, api: ClusterApi) -> None:
    for status, text in ((500, CANARY), (200, CANARY), (502, f"<p>{CANARY}</p>")):
        server.then(status, text)
        error = await failure(api)
        assert CANARY not in f"{error!s} {error!r} {error.__cause__!r}"
    assert all(CANARY in body for body in server.bodies), "it was sent"


async def test_a_token_that_ran_out_is_read_anew_once(
    server: Scripted, api: ClusterApi, kubeconfig: Path
) -> None:
    await api.list_all("/api/v1/pods")
    let_in(kubeconfig, kubeconfig.read_text().split('"server": "')[1].split('"')[0], "second")
    server.refuse(401, "Unauthorized")
    assert await api.list_all("/api/v1/pods") == []
    assert server.tokens == ["Bearer first", "Bearer first", "Bearer second"]
    for _ in range(2):
        server.refuse(401, "Unauthorized")
    assert type(await failure(api)) is Forbidden
    assert len(server.tokens) == 5, "not for ever"


async def test_a_group_that_nobody_knows_is_no_crd_and_a_role_too_small_is_said(
    server: Scripted, api: ClusterApi
) -> None:
    server.then(404, "404 page not found\n")
    assert await api.crd_is_there() is False
    server.then(200, json.dumps({"resources": [{"name": "others"}]}))
    assert await api.crd_is_there() is False
    server.then(200, json.dumps({"resources": [{"name": "vtubersessions"}]}))
    assert await api.crd_is_there() is True
    server.refuse(403, "no")
    with pytest.raises(Forbidden):
        await api.crd_is_there()
    server.refuse(500, "oh")
    with pytest.raises(Unreachable):
        await api.crd_is_there()


async def test_what_is_applied_names_its_manager_and_the_very_object(
    server: Scripted, api: ClusterApi
) -> None:
    server.then(200, json.dumps({"metadata": {"name": "one"}}))
    assert await api.apply_status("vt", "one", "uid-7", {"step": "1/1"}) == {
        "metadata": {"name": "one"}
    }
    sent = json.loads(server.bodies[0])
    assert sent["metadata"] == {"name": "one", "namespace": "vt", "uid": "uid-7"}
    assert sent["status"] == {"step": "1/1"}
    assert kubernetes.sessions_path(None) == "/apis/vtuber.dev/v1alpha1/vtubersessions"
    assert kubernetes.core_path("pods", "vt") == "/api/v1/namespaces/vt/pods"

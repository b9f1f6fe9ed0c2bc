"""Where credentials are found, and what is known of the requests of a session."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import kopf
import pytest
from aiohttp import web

from vtuber_operator.clients.credentials import credentials, open_session
from vtuber_operator.errors import Unreachable

SECRET = "canary-7f3a"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a kubeconfig."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path: Path, token: str, server: str = "https://k8s.example:6443") -> Path:
    config = {
        "current-context": "now",
        "contexts": [{"name": "now", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": token}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def test_without_a_service_account_and_a_kubeconfig_it_says_where_it_looked(home: Path) -> None:
    with pytest.raises(Unreachable, match="service account.*KUBECONFIG"):
        credentials()


def test_a_kubeconfig_is_found_by_its_variable_or_in_its_usual_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / ".kube/config", "usual")
    assert credentials().token == "usual"
    monkeypatch.setenv("KUBECONFIG", str(write(home / "other", "named")))
    assert credentials().token == "named"
    assert credentials().server == "https://k8s.example:6443"


def test_they_are_read_anew_at_each_call(home: Path) -> None:
    config = write(home / ".kube/config", "old")
    assert credentials().token == "old"
    write(config, "new")
    assert credentials().token == "new"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        f"token: [{SECRET}",
        json.dumps({"current-context": "now", "users": SECRET}),
        json.dumps({"current-context": "now", "contexts": [{"name": "then"}]}),
        json.dumps([SECRET]),
        f"\x00{SECRET}",
    ],
)
def test_a_kubeconfig_that_cannot_be_read_is_said_without_what_is_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """Before: whatever the YAML reader raised ended the task that called."""
    config = home / "config"
    if content is not None:
        config.write_text(content, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(Unreachable, match="credentials cannot be read") as raised:
        credentials()
    assert SECRET not in str(raised.value)


@asynccontextmanager
async def server(at_once: int = 1) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Answers when so many requests are there; gives its address and the requests."""
    asked: list[web.Request] = []
    enough = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        if len(asked) >= at_once:
            enough.set()
        await enough.wait()
        return web.Response(status=int(request.query.get("status", "200")))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_every_answer_is_told_with_its_path_its_status_and_whether_it_watches() -> None:
    told: list[tuple[str, int, bool]] = []
    async with server() as (url, asked):
        info = kopf.ConnectionInfo(server=url, token="t")
        async with open_session(
            info, lambda path, status, watch: told.append((path, status, watch))
        ) as session:
            for query in ("", "?watch=true&status=200", "?status=403", "?watch=true&status=410"):
                async with session.get(f"{url}/api/v1/pods{query}"):
                    pass
    assert told == [
        ("/api/v1/pods", 200, False),
        ("/api/v1/pods", 200, True),
        ("/api/v1/pods", 403, False),
        ("/api/v1/pods", 410, True),
    ]
    assert {request.headers["authorization"] for request in asked} == {"Bearer t"}
    assert {request.headers["user-agent"] for request in asked} == {"vtuber-operator"}


async def test_watches_do_not_take_the_connections_of_other_calls() -> None:
    async with (
        server(at_once=130) as (url, asked),
        open_session(kopf.ConnectionInfo(server=url)) as session,
        asyncio.timeout(20),
    ):
        answers = await asyncio.gather(*(session.get(url) for _ in range(130)))
        assert len(asked) == 130
        for answer in answers:
            answer.release()


async def test_a_watch_may_last_and_a_connection_may_not() -> None:
    async with open_session(kopf.ConnectionInfo(server="http://x")) as session:
        assert session.timeout.total is None
        assert session.timeout.sock_read is None
        assert session.timeout.sock_connect is not None

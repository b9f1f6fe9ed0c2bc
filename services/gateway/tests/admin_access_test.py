from typing import Any

import pytest
from pydantic import SecretStr
from starlette.requests import Request

from gateway.admin_access import AdminAccess
from gateway.errors import AdminOnly


def request(peer: str | None, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "headers": raw, "client": (peer, 1) if peer else None}
    return Request(scope)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(peer: str) -> None:
    AdminAccess(None).require(request(peer))
    AdminAccess(SecretStr("secret")).require(request(peer))


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.5", "::ffff:10.0.0.7", "unix", None])
def test_others_may_not(peer: str | None) -> None:
    with pytest.raises(AdminOnly):
        AdminAccess(None).require(request(peer))


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_real_ip", "forwarded", "via"])
def test_a_proxy_on_this_machine_speaks_for_somebody_else(header: str) -> None:
    with pytest.raises(AdminOnly):
        AdminAccess(None).require(request("127.0.0.1", **{header: "127.0.0.1"}))


def test_whoever_has_the_token_may_from_anywhere() -> None:
    access = AdminAccess(SecretStr("secret"))
    access.require(request("10.0.0.7", authorization="Bearer secret", x_forwarded_for="1.2.3.4"))
    access.require(request("10.0.0.7", authorization="bearer  secret "))


@pytest.mark.parametrize("said", ["Bearer wrong", "Bearer ", "Bearer sécret", "Basic secret"])
def test_a_wrong_token_is_refused_without_a_word_of_it(said: str) -> None:
    with pytest.raises(AdminOnly) as refused:
        AdminAccess(SecretStr("secret")).require(request("10.0.0.7", authorization=said))
    assert "secret" not in str(refused.value)
    assert refused.value.body.code == "admin_only"


def test_a_wrong_token_is_refused_on_this_machine_too() -> None:
    with pytest.raises(AdminOnly):
        AdminAccess(SecretStr("secret")).require(request("127.0.0.1", authorization="Bearer wrong"))

"""Requests of the commands to the gateway's HTTP API."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from dialog_contracts.model import WireModel
from vtuber_cli import gateway
from vtuber_cli.gateway import GatewayUnreachable

M = TypeVar("M", bound=WireModel)
TIMEOUT_S: Final = 10.0
STREAM_TIMEOUT_S: Final = 160.0
"""Seconds to the next bytes of a backup: a service copies its whole database first."""

READ_BYTES: Final = 256 * 1024


class RequestRefused(Exception):
    """The gateway answered with an error; the message is its sentence."""


class GatewayApi:
    """The API at `url`; `token` is ADMIN_TOKEN, if the user has one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url, self._token = url, token

    def get(self, path: str, model: type[M]) -> M:
        """Return a body; raises GatewayUnreachable and RequestRefused."""
        return self._parse(self._send("GET", path), model)

    def post(self, path: str, body: WireModel, model: type[M]) -> M:
        """Return the body of the response; raises GatewayUnreachable and RequestRefused."""
        return self._parse(self._send("POST", path, body.to_json().encode()), model)

    def stream(self, path: str) -> Iterator[bytes]:
        """Yield a body in pieces; raises GatewayUnreachable and RequestRefused."""
        with self._open("GET", path, None, STREAM_TIMEOUT_S) as answer:
            try:
                while piece := answer.read(READ_BYTES):
                    yield piece
            except (OSError, http.client.HTTPException) as error:
                raise GatewayUnreachable(f"{self._url}{path} broke off: {error!r}") from error

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        with self._open(method, path, body, TIMEOUT_S) as answer:
            raw: bytes = answer.read()
            return raw

    def _open(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Any:
        request = urllib.request.Request(self._url + path, data=body, method=method)  # noqa: S310  # gateway.address has checked the scheme
        request.add_header("content-type", "application/json")
        if self._token:
            request.add_header("authorization", f"Bearer {self._token}")
        # A proxy of the environment is for other hosts than this one.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=gateway.trust(self._url)),
        )
        try:
            return opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            raise RequestRefused(_sentence(error.read(), error.code)) from error
        except OSError as error:
            raise GatewayUnreachable(gateway.unreachable_message(self._url, error)) from error

    @staticmethod
    def _parse(raw: bytes, model: type[M]) -> M:
        try:
            return model.from_json(raw)
        except ValidationError as error:
            raise RequestRefused(
                "the gateway answers in another form; it may be of another version"
            ) from error


def _sentence(raw: bytes, status: int) -> str:
    try:
        body: Any = json.loads(raw)
        return str(body["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {status}"

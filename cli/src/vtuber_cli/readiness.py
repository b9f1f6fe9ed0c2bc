"""What a service says of itself on `/readyz`."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from vtuber_cli import addresses

_PROVIDERS: Final = ("model:", "voice:")
"""Reasons for which a service is not ready and yet does what it can: text without a voice, the legacy chain's answers without a model."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What it says. `answers`: somebody is there; `started`: ready, or all but a model or a voice that does not answer yet."""

    ready: bool
    why: str = ""
    reasons: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    answers: bool = True

    @property
    def started(self) -> bool:
        """Whether waiting for it has an end that is ours to bring about."""
        return self.ready or (
            bool(self.reasons) and all(reason.startswith(_PROVIDERS) for reason in self.reasons)
        )


def fetch_readiness(
    port: int, host: str = addresses.LOOPBACK, scheme: str = "http"
) -> tuple[bool, str]:
    """Whether it has started, and if it is not ready why. `host` is an address of this machine."""
    state = request_readiness(port, host, scheme)
    return state.started, state.why


def request_readiness(
    port: int, host: str = addresses.LOOPBACK, scheme: str = "http"
) -> ServiceState:
    """All that it says. No proxy of the environment knows this machine's addresses, and its certificate is our own."""
    handlers = (ProxyHandler({}), HTTPSHandler(context=addresses.interface_addresses()))
    try:
        with build_opener(*handlers).open(
            f"{addresses.url(host, port, scheme)}/readyz", timeout=2
        ) as answer:
            return ServiceState(
                answer.status == 200, details=_read(answer.read()).get("details") or {}
            )
    except HTTPError as error:
        with suppress(OSError):
            body = _read(error.read())
            reasons = tuple(map(str, body.get("reasons") or ()))
            return ServiceState(
                False, "; ".join(reasons) or str(error.reason), reasons, body.get("details") or {}
            )
        return ServiceState(False, str(error.reason))
    except URLError as error:
        return ServiceState(False, str(error.reason), answers=False)
    except OSError as error:
        return ServiceState(False, str(error), answers=False)


def _read(body: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(body)
        if isinstance(found, dict):
            return found
    return {}

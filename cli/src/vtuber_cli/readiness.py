"""Reads `/readyz` of the services."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from vtuber_cli import addresses

_PROVIDERS: Final = ("model:", "voice:")
"""Prefixes of reasons for which a service is not ready but usable.

Without a voice it sends text only, and without a language model the legacy pipeline answers.
"""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What a service reports. `answers` is False if no connection is possible."""

    ready: bool
    why: str = ""
    reasons: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    answers: bool = True

    @property
    def started(self) -> bool:
        """Whether it is ready, or only waits for a language model or a voice.

        No restart would help against the latter.
        """
        return self.ready or (
            bool(self.reasons) and all(reason.startswith(_PROVIDERS) for reason in self.reasons)
        )


def fetch_readiness(
    port: int, host: str = addresses.LOOPBACK, scheme: str = "http"
) -> tuple[bool, str]:
    """Return whether the service has started, and the reasons why it is not ready.

    `host` is an address of this machine.
    """
    state = request_readiness(port, host, scheme)
    return state.started, state.why


def request_readiness(
    port: int, host: str = addresses.LOOPBACK, scheme: str = "http"
) -> ServiceState:
    """Return the state of a service on this machine. Raises nothing.

    Proxies of the environment are not used, and certificates are not verified.
    """
    handlers = (ProxyHandler({}), HTTPSHandler(context=addresses.unverified_tls()))
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

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
class State:
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


def of(port: int, host: str = addresses.LOOPBACK, scheme: str = "http") -> tuple[bool, str]:
    """Whether it has started, and if it is not ready why. `host` is an address of this machine."""
    state = ask(port, host, scheme)
    return state.started, state.why


def ask(port: int, host: str = addresses.LOOPBACK, scheme: str = "http") -> State:
    """All that it says. No proxy of the environment knows this machine's addresses, and its certificate is our own."""
    handlers = (ProxyHandler({}), HTTPSHandler(context=addresses.believed()))
    try:
        with build_opener(*handlers).open(
            f"{addresses.url(host, port, scheme)}/readyz", timeout=2
        ) as answer:
            return State(answer.status == 200, details=_read(answer.read()).get("details") or {})
    except HTTPError as error:
        with suppress(OSError):
            told = _read(error.read())
            reasons = tuple(map(str, told.get("reasons") or ()))
            return State(
                False, "; ".join(reasons) or str(error.reason), reasons, told.get("details") or {}
            )
        return State(False, str(error.reason))
    except URLError as error:
        return State(False, str(error.reason), answers=False)
    except OSError as error:
        return State(False, str(error), answers=False)


def _read(body: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        told = json.loads(body)
        if isinstance(told, dict):
            return told
    return {}

"""Errors of language models.

    LlmError                    what an engine catches
    ├── ProviderError           one provider failed; `reason` says how
    └── AllProvidersFailed      no provider of a list began to answer; `failures` says why, in order

These are our own classes, because vendors' libraries differ in what they raise, and their messages
contain request bodies, addresses and sometimes keys. A message here is one line with at most 200
characters of the vendor's text, without known secrets.

`code` is for clients, `reason` is a label for metrics and logs, and `retryable` says whether the
same turn may succeed if it is sent again later. All three are defined in the table below.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from service_runtime.redact import redact

Reason = Literal[
    "unauthorized",
    "quota",
    "rate_limited",
    "bad_request",
    "server_error",
    "connection",
    "timeout_first_token",
    "idle_gap",
    "wall_clock",
    "cut_stream",
    "empty",
    "filtered",
    "cooling_down",
    "bad_content",
    "unexpected",
    "address_refused",
]

_MEANING: Final[dict[Reason, tuple[str, bool]]] = {
    "unauthorized": ("llm_unavailable", False),
    "quota": ("llm_unavailable", False),
    "rate_limited": ("llm_busy", True),
    "bad_request": ("llm_refused", False),
    "server_error": ("llm_unavailable", True),
    "connection": ("llm_unavailable", True),
    "timeout_first_token": ("llm_timeout", True),
    # The next four usually occur after text has been spoken: a second attempt would repeat it.
    "idle_gap": ("llm_cut", False),
    "wall_clock": ("llm_cut", False),
    "cut_stream": ("llm_cut", False),
    "filtered": ("llm_refused", False),
    "empty": ("llm_empty", True),
    "cooling_down": ("llm_unavailable", True),
    "bad_content": ("llm_unavailable", False),
    "unexpected": ("llm_unavailable", True),
    "address_refused": ("llm_unavailable", False),
}


class LlmError(Exception):
    """A reply could not be generated, or not completely."""

    code: str = "llm_unavailable"
    retryable: bool = True
    reason: str = "server_error"


class ProviderError(LlmError):
    """One provider failed.

    `detail` is the vendor's explanation; it is shortened, and `secrets` and everything with the
    shape of a key are removed. `retry_after_s` is the pause in seconds that the vendor asked for.
    """

    def __init__(
        self,
        provider: str,
        reason: Reason,
        detail: str = "",
        *,
        secrets: Iterable[str] = (),
        retry_after_s: float | None = None,
    ) -> None:
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.reason = reason
        self.code, self.retryable = _MEANING[reason]
        self.detail = redact(detail, secrets)
        super().__init__(f"{provider}: {reason}" + (f" ({self.detail})" if self.detail else ""))


class AllProvidersFailed(LlmError):
    """No provider of a list produced a first piece.

    `failures` holds (provider, reason) in the order of the attempts.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], last: LlmError | None = None) -> None:
        self.failures = tuple(failures)
        self.reason = "all_failed"
        self.code = last.code if last is not None and len(self.failures) == 1 else "llm_unavailable"
        self.retryable = True if last is None else last.retryable
        detail = ", ".join(f"{provider}: {reason}" for provider, reason in self.failures)
        super().__init__(f"no language model answered ({detail or 'the chain is empty'})")

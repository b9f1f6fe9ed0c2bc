"""Errors of voices.

    VoiceError                  what an engine catches
    ├── ProviderError           one voice failed; `reason` says how
    ├── VoiceCutOff             a voice failed after `delivered_ms` of the fragment were yielded
    └── AllVoicesFailed         no voice of a list began to speak; `failures` says why, in order

`code` is for clients, `reason` is a label for metrics and logs, and `retryable` says whether the
same text may succeed if it is spoken again later. Messages are one line with at most 200 characters
of the vendor's text, without known secrets.
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
    "timeout_first_audio",
    "idle_gap",
    "cut_stream",
    "empty",
    "bad_audio",
    "crashed",
    "stalled",
    "busy",
    "not_started",
    "cooling_down",
    "unexpected",
    "address_refused",
]

_MEANING: Final[dict[Reason, tuple[str, bool]]] = {
    "unauthorized": ("voice_unavailable", False),
    "quota": ("voice_unavailable", False),
    "rate_limited": ("voice_busy", True),
    "bad_request": ("voice_refused", False),
    "server_error": ("voice_unavailable", True),
    "connection": ("voice_unavailable", True),
    "timeout_first_audio": ("voice_timeout", True),
    "idle_gap": ("voice_timeout", True),
    "cut_stream": ("voice_cut", True),
    "empty": ("voice_empty", True),
    "bad_audio": ("voice_unavailable", False),
    "crashed": ("voice_cut", True),
    "stalled": ("voice_timeout", True),
    "busy": ("voice_busy", True),
    "not_started": ("voice_unavailable", True),
    "cooling_down": ("voice_unavailable", True),
    "unexpected": ("voice_unavailable", True),
    "address_refused": ("voice_unavailable", False),
}


class VoiceError(Exception):
    """A fragment could not be synthesized, or not completely."""

    code: str = "voice_unavailable"
    retryable: bool = True
    reason: str = "server_error"


class ProviderError(VoiceError):
    """One voice failed.

    `detail` is shortened; `secrets` and everything with the shape of a key are removed.
    """

    def __init__(
        self, provider: str, reason: Reason, detail: str = "", *, secrets: Iterable[str] = ()
    ) -> None:
        self.provider = provider
        self.reason = reason
        self.code, self.retryable = _MEANING[reason]
        self.detail = redact(detail, secrets)
        super().__init__(f"{provider}: {reason}" + (f" ({self.detail})" if self.detail else ""))


class VoiceCutOff(VoiceError):
    """`provider` failed with `reason` after `delivered_ms` ms of the fragment were yielded.

    The rest of the fragment is lost: another voice in the middle of a word would be worse than a
    gap. The next fragment begins with the next voice.
    """

    code = "voice_cut"

    def __init__(self, provider: str, reason: str, delivered_ms: float) -> None:
        self.provider = provider
        self.reason = reason
        self.delivered_ms = delivered_ms
        super().__init__(f"{provider}: {reason} after {delivered_ms:.0f} ms of audio")


class AllVoicesFailed(VoiceError):
    """No voice of a list produced a first sample.

    `failures` holds (voice, reason) in the order of the attempts.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], last: VoiceError | None = None) -> None:
        self.failures = tuple(failures)
        self.reason = "all_failed"
        self.retryable = True if last is None else last.retryable
        detail = ", ".join(f"{provider}: {reason}" for provider, reason in self.failures)
        super().__init__(f"no voice could speak ({detail or 'the chain is empty'})")

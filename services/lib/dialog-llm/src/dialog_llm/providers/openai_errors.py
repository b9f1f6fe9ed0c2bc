"""Maps exceptions of the `openai` library to ProviderError.

The library is imported lazily, and this module only through `openai.py`.
"""

import email.utils
import time
from collections.abc import Mapping
from typing import Final

from dialog_llm.errors import ProviderError, Reason
from dialog_llm.providers.openai_chunks import ErrorInStream
from dialog_providers.egress import refusal_in
from service_runtime.redact import host_of

_RETRY_AFTER_LIMIT_S: Final = 3600.0


def to_provider_error(
    error: Exception, provider: str, api_key: str, *, produced: bool
) -> ProviderError:
    """Return the ProviderError for an exception of the library or of its transport.

    A ValueError is a stream that is not JSON. With `produced`, pieces have been yielded, so any
    failure cut the stream.
    """
    import httpx2
    import openai

    detail = str(error)
    secrets = (api_key,)
    if (refused := refusal_in(error)) is not None:
        return ProviderError(provider, "address_refused", str(refused))
    if produced:
        return ProviderError(provider, "cut_stream", detail, secrets=secrets)
    if isinstance(error, openai.APIStatusError):
        if 300 <= error.status_code < 400:
            where = error.response.headers.get("location", "")
            return ProviderError(
                provider,
                "bad_request",
                f"redirected to {host_of(where) or where}: write that address",
                secrets=secrets,
            )
        reason = _of_status(error.status_code, error.code)
        wait = (
            retry_after(error.response.headers)
            if reason == "rate_limited" or error.status_code == 503
            else None
        )
        return ProviderError(provider, reason, detail, secrets=secrets, retry_after_s=wait)
    if isinstance(error, openai.APIConnectionError):
        # The library's own text is only "Connection error."; the cause is more specific.
        return ProviderError(
            provider, "connection", f"{detail} {error.__cause__ or ''}", secrets=secrets
        )
    if isinstance(error, httpx2.HTTPError | OSError):
        return ProviderError(
            provider, "connection", f"{type(error).__name__} {detail}", secrets=secrets
        )
    if isinstance(error, ErrorInStream):
        return ProviderError(provider, _of_code(error.code), detail, secrets=secrets)
    return ProviderError(provider, "server_error", detail, secrets=secrets)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for; None without a usable value.

    The header is a number of seconds or an HTTP date (RFC 9110); more than an hour is ignored.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        if date is None:
            return None
        seconds = email.utils.mktime_tz(date) - time.time()
    return seconds if 0 <= seconds <= _RETRY_AFTER_LIMIT_S else None


def _of_code(code: str) -> Reason:
    if "quota" in code:
        return "quota"
    if code.isdigit():
        return _of_status(int(code), None)
    return "rate_limited" if "rate_limit" in code else "server_error"


def _of_status(status: int, code: str | None) -> Reason:
    if status in (401, 403):
        return "unauthorized"
    if status == 402 or code == "insufficient_quota":
        return "quota"
    if status == 429:
        return "rate_limited"
    return "server_error" if status in (408, 409, 425) or status >= 500 else "bad_request"

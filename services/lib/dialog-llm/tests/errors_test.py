import pytest

from dialog_llm.errors import AllProvidersFailed, LlmError, ProviderError


@pytest.mark.parametrize(
    ("reason", "code", "retryable"),
    [
        ("unauthorized", "llm_unavailable", False),
        ("rate_limited", "llm_busy", True),
        ("cut_stream", "llm_cut", False),
    ],
)
def test_a_reason_decides_code_and_retryable(reason: str, code: str, retryable: bool) -> None:
    error = ProviderError("openai", reason)  # type: ignore[arg-type]
    assert (error.code, error.retryable, error.reason) == (code, retryable, reason)
    assert isinstance(error, LlmError)


def test_all_failed_names_each_try_in_order() -> None:
    error = AllProvidersFailed([("a", "connection"), ("b", "empty")])
    assert str(error) == "no language model answered (a: connection, b: empty)"
    assert "empty" in str(AllProvidersFailed([]))

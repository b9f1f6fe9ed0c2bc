import pytest

from dialog_voice.errors import AllVoicesFailed, ProviderError, VoiceCutOff, VoiceError


@pytest.mark.parametrize(
    ("reason", "code", "retryable"),
    [
        ("unauthorized", "voice_unavailable", False),
        ("rate_limited", "voice_busy", True),
        ("crashed", "voice_cut", True),
    ],
)
def test_a_reason_decides_code_and_retryable(reason: str, code: str, retryable: bool) -> None:
    error = ProviderError("edge", reason)  # type: ignore[arg-type]
    assert (error.code, error.retryable, error.reason) == (code, retryable, reason)
    assert isinstance(error, VoiceError)


def test_what_was_delivered_and_who_failed_can_be_read() -> None:
    assert str(VoiceCutOff("edge", "cut_stream", 120.0)) == "edge: cut_stream after 120 ms of audio"
    assert (
        str(AllVoicesFailed([("a", "connection"), ("b", "empty")]))
        == "no voice could speak (a: connection, b: empty)"
    )

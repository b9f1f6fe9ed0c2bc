import pytest

from asr.errors import TranscriptionFailed


@pytest.mark.parametrize(
    ("lang", "begins"),
    [
        ("zh", "录音超过 5 分钟"),
        ("zh-CN", "录音超过 5"),
        ("en", "the recording is longer than 5"),
        (None, "the rec"),
    ],
)
def test_who_recorded_it_is_told_in_their_language(lang: str | None, begins: str) -> None:
    assert TranscriptionFailed("bad_audio", "too_long", 5).sentence(lang).startswith(begins)

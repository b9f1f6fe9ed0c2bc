import numpy as np
import pytest

from asr.decoder import RATE
from asr.recognizer import NullRecognizer


@pytest.mark.parametrize(
    ("lang", "says", "found"),
    [
        ("zh-CN", "没有安装语音识别模型", "zh"),
        ("en", "No speech model is installed", "en"),
        (None, "No speech model", "en"),
    ],
)
async def test_without_a_model_it_says_so_and_how_long_the_recording_was(
    lang: str | None, says: str, found: str
) -> None:
    heard = await NullRecognizer().transcribe(np.zeros(RATE * 5 // 2, np.float32), lang)
    assert says in heard.text
    assert "2.5" in heard.text
    assert heard.lang == found


async def test_without_a_model_a_cough_is_nothing_and_nobody_is_told_before() -> None:
    recognizer = NullRecognizer()
    assert (await recognizer.transcribe_utterance(np.zeros(RATE // 2, np.float32), None)).text == ""
    assert (
        "2 seconds"
        in (await recognizer.transcribe_utterance(np.zeros(RATE * 2, np.float32), None)).text
    )
    assert await recognizer.interim(np.zeros(RATE * 2, np.float32), "zh", thorough=True) is None

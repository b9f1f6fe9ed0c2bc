"""Reasons why a recording starts no turn.

`code` is stable and for programs; the sentence, in Chinese or English, is for the user.

    TranscriptionFailed
    ├── bad_audio       it cannot be decoded, is too long, or was sent as a path
    ├── nothing_heard   silence, or no words
    └── asr_failed      an error on our side
"""

from typing import Final, Literal

Code = Literal["bad_audio", "nothing_heard", "asr_failed"]

_SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "by_path": (
        "a recording is sent as bytes (audio.type is blob): files are not read by a path",
        "录音须以数据发送（audio.type 为 blob），不接受文件路径",
    ),
    "unreadable": ("the message about this recording cannot be read", "无法读取这条录音的消息"),
    "gone": ("the recording is not kept any more; please send it again", "录音已过期，请重新发送"),
    "too_large": ("the recording has more than {limit} bytes", "录音超过 {limit} 字节"),
    "too_long": ("the recording is longer than {limit} minutes", "录音超过 {limit} 分钟"),
    "too_slow": ("the recording could not be decoded in time", "录音解码超时"),
    "undecodable": ("the recording cannot be decoded as {limit}", "无法按 {limit} 格式解码录音"),
    "cut_off": ("the recording is cut off; please send it again", "录音不完整，请重新发送"),
    "no_sound": ("the file holds no sound", "文件里没有声音"),
    "nothing": ("nothing was heard in the recording", "录音里没有听到内容"),
    "failed": (
        "the recording could not be heard; please try again",
        "暂时无法识别录音，请再试一次",
    ),
}


class TranscriptionFailed(Exception):
    """A recording could not be transcribed.

    `sentence` returns the text for the user; `str()` is the English one.
    """

    def __init__(self, code: Code, why: str, limit: object = "") -> None:
        self.code, self.why, self._limit = code, why, limit
        super().__init__(self.sentence(None))

    def sentence(self, lang: str | None) -> str:
        """Return the sentence in Chinese if `lang` is Chinese, else in English."""
        english, chinese = _SENTENCES[self.why]
        return (chinese if (lang or "").startswith("zh") else english).format(limit=self._limit)

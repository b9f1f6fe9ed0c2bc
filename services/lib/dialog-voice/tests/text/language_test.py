from dialog_voice.text import language


def test_language_by_script() -> None:
    assert language.detect("今晚玩什么？", "en") == "zh"
    assert language.detect("What shall we play?", "zh") == "en"
    assert language.detect("感谢 Tom 送的礼物", "en") == "zh"
    assert language.detect("?!", "zh") == "zh"

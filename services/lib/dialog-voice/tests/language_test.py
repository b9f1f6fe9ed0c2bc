from dialog_voice import language


def test_language_by_script() -> None:
    assert language.guess("今晚玩什么？", "en") == "zh"
    assert language.guess("What shall we play?", "zh") == "en"
    assert language.guess("感谢 Tom 送的礼物", "en") == "zh"
    assert language.guess("?!", "zh") == "zh"

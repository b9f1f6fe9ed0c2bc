import pytest

from input_handler.microphone import backchannel

NODS = [
    *("嗯", "嗯嗯。", "哦，好的", "是的是的", "对对对", "哈哈哈", "oh 好"),
    *("uh-huh", "Mm-hmm.", "Yeah, right.", "OK", "I see.", "wow, nice!"),
]


@pytest.mark.parametrize("text", NODS)
def test_a_nod_is_a_nod(text: str) -> None:
    assert backchannel.is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "。。",
        "什么？",
        "好吃吗",
        "yes but why",
        "是谁",
        "okay so tell me about the game",
        "stop",
    ],
)
def test_words_are_none(text: str) -> None:
    assert not backchannel.is_backchannel(text)


@pytest.mark.parametrize(
    "text", ["stop", "No no, wait!", "Hold on a second", "停！", "等一下", "你别说了", "ENOUGH"]
)
def test_an_order_is_understood_alone(text: str) -> None:
    assert backchannel.is_stop_command(text)


@pytest.mark.parametrize("text", ["stopping by the woods", "await", "好", "no"])
def test_and_is_not_found_within_other_words(text: str) -> None:
    assert not backchannel.is_stop_command(text)


@pytest.mark.parametrize(
    ("text", "enough"),
    [("", False), ("game", False), ("game now", True), ("游戏", False), ("玩游戏", True)],
)
def test_how_much_no_cough_sounds_like(text: str, enough: bool) -> None:
    assert backchannel.has_min_words(text) is enough


@pytest.mark.parametrize(
    ("text", "empty"), [("", True), ("…  !", True), ("'", True), ("a", False), ("啊", False)]
)
def test_without_a_word_there_is_nothing(text: str, empty: bool) -> None:
    assert backchannel.has_no_words(text) is empty

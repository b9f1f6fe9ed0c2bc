import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from long_term_memory.similarity import features, score

TEXTS = st.text(max_size=40) | st.text("abc 12今晚玩什么，。", max_size=40)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Cats, CATS & 3 dogs!", {"cats", "3", "dogs"}),
        ("今晚玩什么", {"今晚", "晚玩", "玩什", "什么"}),
        ("猫", {"猫"}),
        ("我有cat，和狗。", {"我有", "cat", "和狗"}),
        ("snake_case café", {"snake", "case", "café"}),
        ("…… !?", set()),
        ("", set()),
    ],
)
def test_words_and_pairs_of_hanzi_are_what_counts(text: str, found: set[str]) -> None:
    assert features(text) == found


def test_a_text_that_says_more_of_what_was_asked_scores_higher() -> None:
    asked = features("喜欢的颜色 blue")
    assert score(asked, "他喜欢的颜色是 Blue") == 1.0
    assert score(asked, "他喜欢的颜色是红") == pytest.approx(4 / 5)
    assert score(asked, "the sea is blue") == pytest.approx(1 / 5)
    assert score(asked, "nothing of that") == 0.0


def test_a_lone_hanzi_is_found_inside_words() -> None:
    assert score(features("猫"), "他喜欢猫咪") == 1.0
    assert score(features("猫"), "他喜欢狗") == 0.0
    assert score(features("猫咪"), "一只猫") == 0.0


@given(TEXTS, TEXTS)
@example("", "x")
def test_a_score_is_a_share(question: str, text: str) -> None:
    assert 0.0 <= score(features(question), text) <= 1.0


@given(TEXTS, TEXTS)
def test_a_text_answers_itself_wholly_and_what_is_added_apart_takes_nothing_away(
    text: str, more: str
) -> None:
    assume(features(text))
    assert score(features(text), text) == 1.0
    assert score(features(text), f"{text} , {more}") == 1.0


@given(st.text("abc 12今晚玩什么，。", max_size=40))
def test_small_and_capital_letters_are_the_same(text: str) -> None:
    assert features(text.upper()) == features(text)

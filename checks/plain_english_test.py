"""Words that leave open who acts are refused where people read."""

from checks import plain_english
from checks.plain_english import problems


def test_a_word_is_found_in_docstrings_comments_and_strings_with_its_line() -> None:
    source = '"""One.\n\nNobody reads it.\n"""\n\nx = 1  # whoever asks\ny = f"for somebody {x}"\n'
    assert [line for line, _ in problems(source)] == [3, 6, 7]


def test_names_and_longer_words_are_left_alone() -> None:
    assert list(problems('nobody = 1\nx = "a somebodyish word"\n')) == []


def test_the_product_has_none() -> None:
    assert plain_english.main() == 0

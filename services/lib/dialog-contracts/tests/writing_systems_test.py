"""Scripts: one answer for the whole project."""

import re

import pytest

from dialog_contracts.writing_systems import CJK, HAN, has_cjk, is_cjk, is_han


@pytest.mark.parametrize("character", "一今晚龥㐀豈𠀀")
def test_ideographs_are_han_and_cjk(character: str) -> None:
    assert is_han(character)
    assert is_cjk(character)


@pytest.mark.parametrize("character", "ひカ한")
def test_kana_and_hangul_are_cjk_but_no_han(character: str) -> None:
    assert not is_han(character)
    assert is_cjk(character)


@pytest.mark.parametrize("character", "aZé7，。 ！Ａ😀ж")
def test_letters_digits_and_punctuation_are_neither(character: str) -> None:
    assert not is_han(character)
    assert not is_cjk(character)


def test_a_text_has_one_when_any_of_its_characters_is_one() -> None:
    assert has_cjk("hello 世界")
    assert not has_cjk("hello, world")
    assert not has_cjk("")


def test_the_classes_fit_into_regular_expressions() -> None:
    assert re.findall(f"[^{CJK}]+", "今晚play什么") == ["play"]
    assert re.findall(f"[{HAN}]", "ひ今") == ["今"]

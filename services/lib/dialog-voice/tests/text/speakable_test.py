import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.text.fragmenter import TextFragmenter
from dialog_voice.text.speakable import SpeakableTextFilter


def heard(*fragments: str) -> str:
    reader = SpeakableTextFilter()
    return re.sub(r"\s+", " ", "".join(reader.apply(fragment) for fragment in fragments)).strip()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("See https://www.example.org/a/b?c=d#e, it helps.", "See example.org , it helps."),
        ("Look at http://example.org.", "Look at example.org."),
        ("www.example.org:8080/x is it", "example.org is it"),
        ("Read [the manual](https://example.org/manual_1.html) first.", "Read [the manual] first."),
        ("看https://example.cn/x吧，很好。", "看 example.cn 吧，很好。"),
        ("https://user:secret@example.org/x", "example.org"),
        ("https://", "https://"),
        ("ratio 3:2 (of a)(b), mail me at a@b.c", "ratio 3:2 (of a)(b), mail me at a@b.c"),
        ("Try this: ```python\nprint('hello')\n``` and that.", "Try this: and that."),
        ("用 `pip install` 就行", "用 `pip install` 就行"),
    ],
)
def test_addresses_and_code_are_not_spelled_out(said: str, told: str) -> None:
    assert heard(said) == told


def test_a_code_block_may_go_over_many_fragments() -> None:
    assert (
        heard("Here: ```\n", "for x in y:\n", "    go(x)\n", "``` Done. ", "Next ```a``` one.")
        == "Here: Done. Next one."
    )


TEXT = st.lists(
    st.sampled_from(
        [
            *"ab c.,!?\n()[]",
            "```",
            "`",
            "https://",
            "www.",
            "example.org/x",
            "你好",
            "，",
            "](http://a.b)",
        ]
    ),
    max_size=60,
).map("".join)


@given(TEXT)
def test_places_stay_and_nothing_is_added(text: str) -> None:
    cutter, reader = TextFragmenter(), SpeakableTextFilter()
    for fragment in (*cutter.feed(text), *cutter.flush()):
        told = reader.apply(fragment.text)
        assert len(told) == len(fragment.text)
        assert all(now in (before, " ") for now, before in zip(told, fragment.text, strict=True))


@given(TEXT)
def test_text_without_code_or_addresses_is_read_as_it_is(text: str) -> None:
    plain = text.replace("`", "").replace("://", "").replace("www.", "").replace("](", "")
    assert SpeakableTextFilter().apply(plain) == plain


def test_a_fragment_without_a_letter_or_a_digit_is_not_spoken() -> None:
    speakable = SpeakableTextFilter()
    assert speakable.spoken("Hello!") == "Hello!"
    assert speakable.spoken("你好") == "你好"
    assert speakable.spoken("… 😀 !") is None
    assert speakable.spoken("```print(1)") is None
    assert speakable.spoken("still code``` and 7.") == " " * 13 + " and 7."

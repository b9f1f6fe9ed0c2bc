import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_voice.text.fragmenter import LONGEST, TextFragmenter

ALPHABET = st.sampled_from(
    [
        *"abcXYZ 0123.,!?;:\n'\"()-",
        *"你好今晚玩什么游戏，。！？、；：…—「」",
        "é",
        "ß",
        "👩‍🚀",
        "🎉",
        "\u200d",
        "…",
        "한",
        "か",
        "\U00020000",
    ]
)
TEXT = st.lists(ALPHABET, max_size=300).map("".join)


def cut(text: str, *pieces: str) -> list[str]:
    cutter = TextFragmenter()
    fragments = [fragment for piece in (pieces or (text,)) for fragment in cutter.feed(piece)]
    return [fragment.text for fragment in fragments + cutter.flush()]


@given(TEXT, st.lists(st.integers(0, 300), max_size=12))
@example("你好" * 300, [])
@example("a" * 900, [450])
def test_fragments_are_the_input_and_do_not_depend_on_how_it_arrives(
    text: str, cuts: list[int]
) -> None:
    places = sorted({min(place, len(text)) for place in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in zip(places, places[1:], strict=False)]
    assert "".join(cut(text)) == text
    assert cut(text, *pieces) == cut(text)


@given(TEXT)
def test_places_are_consecutive_and_nothing_is_longer_than_the_limit(text: str) -> None:
    cutter = TextFragmenter()
    at = 0
    for fragment in cutter.feed(text) + cutter.flush():
        assert fragment.start == at
        assert len(fragment.text) > 0
        # Blank or unspeakable text may pile up in front of the first thing that can be said.
        assert (
            len(fragment.text) <= LONGEST
            or not fragment.text[:LONGEST].strip("\n .,!?;:'\"()-，。！？、；：…—「」").isalnum()
        )
        at = fragment.end
    assert at == len(text)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=80))
def test_a_word_is_never_cut(words: list[str]) -> None:
    pieces = [word for fragment in cut(" ".join(words)) for word in fragment.split()]
    assert pieces == words


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Sure, I can do that for you.", "Sure, "),
        ("I can certainly do that for you.", "I can certainly do "),
        ("好呀，今晚我们一起玩游戏吧。", "好呀，"),
        ("今天晚上我们大家一起玩一个新的游戏", "今天晚上我们大家"),
        ("你好呀我是小星星。今晚", "你好呀我是小星星。"),
        ("Pi is 3.14 or so they say.", "Pi is 3.14 or "),
        ("Yes! Of course.", "Yes! "),
    ],
)
def test_the_first_fragment_is_short(text: str, first: str) -> None:
    assert cut(text)[0] == first


def test_later_fragments_are_sentences() -> None:
    text = "Well, that was fun. We met Dr. Smith at 10.30 in the park and talked for quite a while. Then it rained! Goodbye."
    assert cut(text)[1:] == [
        "that was fun. ",
        "We met Dr. Smith at 10.30 in the park and talked for quite a while. ",
        "Then it rained! ",
        "Goodbye.",
    ]


def test_where_nobody_waits_the_first_fragment_is_a_sentence_too() -> None:
    cutter = TextFragmenter(short_first=False)
    fragments = cutter.feed("I can certainly do that, of course. And more.") + cutter.flush()
    assert [fragment.text for fragment in fragments] == [
        "I can certainly do that, of course. ",
        "And more.",
    ]


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    text = "First: when the evening comes and the lights of the city go on one by one, we sit on the roof and sing."
    assert cut(text)[1] == "when the evening comes and the lights of the city go on one by one, "


def test_the_end_of_a_sentence_is_known_for_its_pause() -> None:
    cutter = TextFragmenter()
    kinds = [
        fragment.ends_sentence for fragment in cutter.feed("Hi, you. And so ") + cutter.flush()
    ]
    assert kinds == [False, True, True]


def test_emoji_and_punctuation_alone_wait_for_words() -> None:
    assert cut("🎉🎉! ... Hello there.") == ["🎉🎉! ... Hello there."]
    assert not TextFragmenter().feed("🎉 ... ! ")

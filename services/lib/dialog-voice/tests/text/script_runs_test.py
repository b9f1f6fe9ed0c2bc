from hypothesis import given
from hypothesis import strategies as st

from dialog_voice.text.script_runs import ScriptRun, passages, speakable, split_by_script


def test_one_language_stays_in_one_part() -> None:
    assert split_by_script("Hello, world 42!", "en") == [ScriptRun("en", "Hello, world 42!", 0)]
    assert split_by_script("你好，世界42！", "zh") == [ScriptRun("zh", "你好，世界42！", 0)]


def test_mixed_text_is_cut_where_the_script_changes() -> None:
    assert split_by_script("感谢 Tom 送的礼物", "zh") == [
        ScriptRun("zh", "感谢 ", 0),
        ScriptRun("en", "Tom ", 3),
        ScriptRun("zh", "送的礼物", 7),
    ]


def test_digits_and_marks_in_front_belong_to_what_follows() -> None:
    assert [part.lang for part in split_by_script("3 个 apples", "en")] == ["zh", "en"]


def test_text_without_letters_takes_the_given_language() -> None:
    assert split_by_script("42", "zh-CN") == [ScriptRun("zh", "42", 0)]
    assert split_by_script("42", "fr") == [ScriptRun("en", "42", 0)]


def test_what_is_not_for_the_ear_becomes_spaces_of_the_same_length() -> None:
    assert speakable("**好** 😀👍🏽 ok~\x07") == "  好       ok  "
    assert speakable("50% of $3") == "50% of $3"
    assert speakable("👩‍💻️x") == "    x"


def test_a_long_text_is_cut_after_sentences_then_clauses_then_anywhere() -> None:
    text = "One two three. Four five, six seven eight nine"
    assert [piece.text for piece in passages(text, 20)] == [
        "One two three. ",
        "Four five, six ",
        "seven eight nine",
    ]
    assert [piece.text for piece in passages("啊" * 45, 20)] == ["啊" * 20, "啊" * 20, "啊" * 5]
    assert passages("", 20) == []


@given(st.text(max_size=300), st.integers(min_value=1, max_value=50))
def test_positions_survive_every_cut(text: str, limit: int) -> None:
    spoken = speakable(text)
    assert len(spoken) == len(text)
    pieces = passages(spoken, limit)
    assert "".join(piece.text for piece in pieces) == spoken
    for piece in pieces:
        assert 1 <= len(piece.text) <= limit
        parts = split_by_script(piece.text, "en")
        assert "".join(part.text for part in parts) == piece.text
        for part in parts:
            start = piece.start + part.start
            assert spoken[start : start + len(part.text)] == part.text

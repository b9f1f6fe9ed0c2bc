from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_llm.content_parts import UnsupportedContent, WholeCharacters, parts_of


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, []),
        ("text", [("text", False)]),
        (
            [{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}],
            [("a", False), ("b", False)],
        ),
        ({"text": "a"}, [("a", False)]),
        ([{"type": "reasoning", "reasoning": "hm"}], [("hm", True)]),
        ([{"type": "thinking", "thinking": ""}], []),
        ({"type": "refusal", "refusal": "No."}, [("No.", False)]),
        ([SimpleNamespace(type="text", text="a")], [("a", False)]),
    ],
)
def test_parts_are_texts_and_thoughts(content: Any, found: list[tuple[str, bool]]) -> None:
    assert list(parts_of(content)) == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (7, "type int"),
        ([b"x"], "type bytes"),
        ({"type": "image_url", "image_url": {}}, "image_url"),
        ({"type": "text"}, "no text"),
    ],
)
def test_anything_else_is_refused_by_its_type(content: Any, said: str) -> None:
    with pytest.raises(UnsupportedContent, match=said):
        list(parts_of(content))


def utf16(text: str) -> list[str]:
    raw = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(raw[at : at + 2], "little")) for at in range(0, len(raw), 2)]


@given(st.text(max_size=12))
def test_characters_that_come_in_halves_come_out_whole(text: str) -> None:
    parser = WholeCharacters()
    made = "".join(parser.feed(unit) for unit in utf16(text)) + parser.finish()
    assert made == text


@given(
    st.lists(
        st.text(alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=4),
        max_size=8,
    )
)
def test_whatever_comes_can_be_encoded_and_says_the_same_however_it_is_cut(
    pieces: list[str],
) -> None:
    parser, whole = WholeCharacters(), WholeCharacters()
    made = "".join(parser.feed(piece) for piece in pieces) + parser.finish()
    made.encode()
    assert made == whole.feed("".join(pieces)) + whole.finish()

from hypothesis import given
from hypothesis import strategies as st

from vtuber_cli.line_splitter import LineSplitter


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=40)
    ),
    st.data(),
)
def test_however_bytes_are_cut_the_lines_are_the_same(
    lines: list[str], data: st.DataObject
) -> None:
    whole = "".join(f"{line}\n" for line in lines).encode()
    parser, got, at = LineSplitter(), list[str](), 0
    while at < len(whole):
        size = data.draw(st.integers(1, len(whole) - at))
        got += parser.feed(whole[at : at + size])
        at += size
    assert got == lines
    assert parser.end() == []


@given(st.binary(max_size=300), st.integers(1, 20))
def test_no_line_is_longer_than_the_limit_and_nothing_is_held(raw: bytes, limit: int) -> None:
    parser = LineSplitter(limit)
    got = [*parser.feed(raw), *parser.end()]
    assert all(len(line.partition(" … (")[0]) <= limit for line in got)
    assert len(parser._begun) == 0


def test_a_line_that_is_cut_says_so_and_the_next_one_is_whole() -> None:
    parser = LineSplitter(4)
    assert parser.feed(b"abc") == []
    assert parser.feed(b"defg") == []
    assert parser.feed(b"h\r\nnext\nlast") == ["abcd … (5 bytes more)", "next"]
    assert parser.end() == ["last"]

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_llm import thought_filter
from dialog_llm.thought_filter import ThoughtFilter, ThoughtHabit

NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection")
WHOLE = [
    ("<think>hm</think>Hello", "Hello"),
    ("<thinking>hm</thinking>Hello", "Hello"),
    ("<THINK>hm</Think>Hello", "Hello"),
    ("<think></think>Hello", "Hello"),
    ("<think/>Hello", "Hello"),
    ('<think effort="high">hm</think >Hello', "Hello"),
    ("a <think>x</think>b<think>y</think> c", "a b c"),
    ("Hello <think>never closed", "Hello "),
    ("closed without a beginning</think> Hello", "closed without a beginning Hello"),
    ("<think>about <think> itself</think>Hello", "Hello"),
    ("◁think▷嗯◁/think▷你好", "你好"),
    ("[THINK]hm[/THINK]Hello", "Hello"),
    ("[thinks] a stage direction [think]", "[thinks] a stage direction [think]"),
    ("1 < 2, <b>bold</b>, <thinker>, <", "1 < 2, <b>bold</b>, <thinker>, <"),
    ("an end like <thin", "an end like <thin"),
    ("<think>hm</thin", ""),
    ("<<think>x</think>>", "<>"),
]


def said(text: str, cuts: set[int]) -> str:
    parser, made, start = ThoughtFilter(), "", 0
    for cut in [*sorted(cut for cut in cuts if cut < len(text)), len(text)]:
        made += parser.feed(text[start:cut])
        start = cut
    return made + parser.finish()


@pytest.mark.parametrize(("text", "wanted"), WHOLE)
def test_thoughts_go_and_everything_else_stays_however_it_is_cut(text: str, wanted: str) -> None:
    assert said(text, set()) == wanted
    assert said(text, set(range(len(text)))) == wanted
    for cut in range(len(text)):
        assert said(text, {cut}) == wanted


PLAIN = st.text(alphabet="ab <>/h[t]\n好", max_size=12).filter(
    lambda text: "<" not in text or ">" not in text
)
THOUGHT = st.builds(
    "<{0}>{1}</{2}>".format,
    st.sampled_from(NAMES),
    st.text(alphabet="ab <好", max_size=9),
    st.sampled_from(NAMES),
)


@given(
    st.lists(st.tuples(PLAIN.map(lambda text: text.replace("<", "")), THOUGHT), max_size=4),
    PLAIN,
    st.sets(st.integers(0, 200)),
)
def test_any_cut_of_any_mixture_gives_what_was_said(
    mixed: list[tuple[str, str]], last: str, cuts: set[int]
) -> None:
    last = last.replace("<", "")
    text = "".join(plain + thought for plain, thought in mixed) + last
    assert said(text, cuts) == "".join(plain for plain, _ in mixed) + last


@given(st.text(max_size=60), st.sets(st.integers(0, 60)))
def test_no_cut_changes_anything(text: str, cuts: set[int]) -> None:
    assert said(text, cuts) == said(text, set())


@given(
    st.lists(
        st.sampled_from(["<", "<t", "<think", " ", ">", "x" * 40, "</", "[", "◁"]), max_size=60
    )
)
def test_what_waits_is_bounded(pieces: list[str]) -> None:
    parser = ThoughtFilter()
    for piece in pieces:
        parser.feed(piece)
        assert len(parser._pending) <= 110 + len(piece)


def test_it_is_known_while_it_thinks() -> None:
    parser = ThoughtFilter()
    states = []
    for piece in ("<thi", "nk>", "hm", "</think>", "Hello"):
        parser.feed(piece)
        states.append(parser.thinking)
    assert states == [False, True, True, False, False]


def test_a_whole_text_loses_its_thoughts_and_the_space_around_them() -> None:
    assert thought_filter.strip_thoughts("<think>hm</think>\n\nHello ") == "Hello"
    assert thought_filter.strip_thoughts(" as it is ") == " as it is "


def through(habit: ThoughtHabit, text: str, step: int) -> str:
    parser = habit.begin()
    made = (
        "".join(parser.feed(text[at : at + step]) for at in range(0, len(text), step))
        + parser.finish()
    )
    habit.learn(parser)
    return made


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_server_that_keeps_the_opening_tag_is_understood_from_the_second_reply_on(
    step: int,
) -> None:
    habit = ThoughtHabit()
    assert through(habit, "hm</think>Hello", step) == "hmHello"
    assert through(habit, "hm again</think>Hello", step) == "Hello"
    assert through(habit, "</think>Hello", step) == "Hello"
    assert through(habit, "no thought this time", step) == "no thought this time", (
        "it was none after all"
    )
    assert through(habit, "nor now", step) == "nor now"


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_model_that_opens_its_thoughts_itself_loses_nothing_by_the_expectation(step: int) -> None:
    habit = ThoughtHabit()
    through(habit, "hm</think>Hello", step)
    assert through(habit, "Well, <think>hm</think>hello", step) == "Well, hello"

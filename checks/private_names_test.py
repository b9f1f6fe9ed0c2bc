import pytest

from checks import private_names
from checks.private_names import GLOSSARY, names_of, private_words, problems

WORDS = frozenset({"told", "ear"})


def test_the_words_are_those_of_the_glossarys_last_section() -> None:
    glossary = "## Terms\n\n`lease`\n\n## Private words\n\nRefused.\n\n`told` `ear`\n"
    assert private_words(glossary) == WORDS
    assert {"shelf", "desk", "brain"} <= private_words(GLOSSARY.read_text())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("told_until", ["told"]),
        ("EarReports", ["ear"]),
        ("TOLD_EAR", ["ear", "told"]),
        ("early", []),
        ("foretold", []),
        ("ear_ms", []),
    ],
)
def test_a_name_is_compared_by_its_parts(name: str, found: list[str]) -> None:
    assert problems(name, WORDS) == found


def test_every_kind_of_name_is_read_with_its_line() -> None:
    source = "class A:\n    def b(self, c):\n        self.d = e = 1\n\nasync def f(): ...\n"
    assert {name for _, name in names_of(source)} == {"A", "b", "self", "c", "d", "e", "f"}
    assert (5, "f") in set(names_of(source))


def test_the_tree_has_none_and_one_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert private_names.main() == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(private_names, "private_words", lambda _: frozenset({"fragmenter"}))
    assert private_names.main() == 1
    assert "fragmenter.py:1: fragmenter: " in capsys.readouterr().out

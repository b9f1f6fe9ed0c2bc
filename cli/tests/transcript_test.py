import io

import pytest

from vtuber_cli.console import Console
from vtuber_cli.transcript import Transcript


def written(*, terminal: bool) -> tuple[Transcript, io.StringIO]:
    out = io.StringIO()
    return Transcript(Console(out, colours=terminal)), out


def a_conversation(transcript: Transcript) -> None:
    transcript.partial("who")
    transcript.partial("who are")
    transcript.final("Who are you?")
    transcript.reply("I am ")
    transcript.reply("Luna.")
    transcript.replied()
    transcript.partial("cough")
    transcript.dropped()
    transcript.note("asr: gone")


def test_a_file_gets_what_is_final_and_nothing_else() -> None:
    transcript, out = written(terminal=False)
    a_conversation(transcript)
    assert out.getvalue() == "you  > Who are you?\nshe  > I am Luna.\nasr: gone\n"


def test_on_a_terminal_partial_words_are_written_over() -> None:
    transcript, out = written(terminal=True)
    a_conversation(transcript)
    lines = out.getvalue().split("\n")
    seen = [line.rpartition("\r\x1b[K")[2] for line in lines]
    assert "who are" in lines[0]
    assert "who" not in seen[0], "nothing of it stays"
    assert seen[0].endswith("Who are you?")
    assert seen[1].endswith("I am Luna.")
    assert "cough" in lines[2]
    assert "cough" not in seen[2]


def test_who_cuts_in_begins_a_line_of_his_own() -> None:
    transcript, out = written(terminal=False)
    transcript.reply("Once upon a")
    transcript.partial("wait")
    transcript.final("Wait.")
    transcript.reply("Yes?")
    transcript.replied()
    assert out.getvalue() == "she  > Once upon a\nyou  > Wait.\nshe  > Yes?\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 100 + "end", "x" * 9 + "end"),
        ("今晚玩什么游戏呢", "玩什么游戏呢"),
        ("short", "short"),
    ],
)
def test_a_line_that_is_to_be_written_over_never_wraps(
    monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    transcript, out = written(terminal=True)
    transcript.partial(text)
    assert out.getvalue().replace("\x1b[0m", "").partition("> ")[2] == shown
